//! Logging in over a connection: what it offers, who is let in, and what the log is told of who is not.

use metrics::counter;
use tracing::{debug, warn};

use super::{Dialog, Parting};
use crate::accounts::Denied;
use crate::listener::Accepts;
use crate::listener::happening::Happening;
use crate::listener::watch::Who;
use crate::phi::Phi;
use crate::smtp::{Channel, Claim, LookingUp, Step, Submitter, Verifying};

impl<A: Accepts> Dialog<A> {
    /// What a login over this connection can go by.
    pub(super) fn channel(&mut self) -> Channel {
        let exporter = self.wire.as_ref().and_then(|wire| wire.stream().channel_binding());
        Channel { exporter, certified: self.certified(), logins: self.shared.accounts.logins() }
    }

    /// The client that the certificate stands for which was shown in the handshake.
    fn certified(&mut self) -> Option<Submitter> {
        let now = self.shared.clock.now();
        let shown = self.tls.shown(self.wire.as_ref()?.stream(), now)?;
        match self.shared.accounts.certified(&shown, self.origin.ip()) {
            Ok(submitter) => {
                self.watched.who = Who::Certified(submitter.name.clone());
                self.watched.tell(|| Happening::Certified);
                self.place.is_a_clients(now);
                Some(submitter)
            }
            Err(why) => {
                counter!("sealpost_client_certificates_refused_total").increment(1);
                let (peer_ip, role) = (self.origin.ip(), self.listener.role().name());
                warn!(peer.ip = %peer_ip, listener.role = role, "a client's certificate is not taken: {why}");
                self.watched.tell(|| Happening::NotCertified(why));
                None
            }
        }
    }

    pub(super) fn look_up(&mut self, login: &Phi<String>, looking: LookingUp) -> Step {
        match self.shared.accounts.verifier(login, self.origin.ip()) {
            Ok(scram) => looking.found(scram),
            Err(denied) => {
                self.tell(denied, Some(login));
                looking.refused(denied.reply())
            }
        }
    }

    pub(super) async fn verify(&mut self, claim: &Claim, verifying: Verifying) -> Result<Step, Parting> {
        self.wire()?.flush().await?;
        match claim {
            Claim::Password(_) | Claim::Scram(..) => self.let_in = self.shared.rules(),
            // It was looked at in the handshake, by what was in force then.
            Claim::Certificate(_) => {}
        }
        match self.shared.accounts.verify(claim, self.origin.ip()).await {
            Ok(submitter) => {
                self.watched.who = Who::LoggedIn(submitter.name.clone());
                self.watched.tell(|| Happening::LoggedIn);
                self.place.is_a_clients(self.shared.clock.now());
                Ok(verifying.accepted(submitter))
            }
            Err(denied) => {
                self.tell(denied, claim.login());
                Ok(verifying.refused(denied.reply()))
            }
        }
    }

    fn tell(&mut self, denied: Denied, login: Option<&Phi<String>>) {
        let tried = login.and_then(|login| self.shared.accounts.tried(login));
        self.watched.who = tried.map_or(Who::Stranger, Who::Tried);
        self.watched.tell(|| Happening::LoginRefused(denied));
        counter!("sealpost_logins_refused_total").increment(1);
        // The login that was tried is the peer's text, and may be somebody's password typed into the wrong field.
        let (peer_ip, role) = (self.origin.ip(), self.listener.role());
        match denied {
            // Answered at once, these could fill a disk; that the login was locked has been said.
            Denied::Locked => {
                debug!(peer.ip = %peer_ip, listener.role = role.name(), login.refused = ?denied, "login refused");
            }
            Denied::Wrong
            | Denied::Elsewhere
            | Denied::Intercepted
            | Denied::Suspended
            | Denied::Busy
            | Denied::Unusable => {
                warn!(peer.ip = %peer_ip, listener.role = role.name(), login.refused = ?denied, "login refused");
            }
        }
    }
}
