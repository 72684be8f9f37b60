//! What an operator sees and ends of lock-outs. They are the running daemon's: without one there are none.

use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use crate::accounts::{Unlock, Whose};
use crate::audit::{Actor, Event};
use crate::control::Failure;
use crate::control::desk::{Desk, give};
use crate::store::Change;

impl Desk {
    pub(super) async fn locked(&self, rows: &Sender<Value>) -> Result<(), Failure> {
        let locked = self.daemon.as_ref().map(|daemon| daemon.accounts.locked()).unwrap_or_default();
        for locked in locked {
            let (whose, client) = match &locked.whose {
                Whose::Client(name) => ("client", Some(name)),
                Whose::Nobodys => ("nobody", None),
                Whose::Everybodys => ("everybody", None),
            };
            let until = locked.until.rfc3339();
            give(rows, json!({ "whose": whose, "client": client, "network": locked.network, "until": until })).await?;
        }
        Ok(())
    }

    pub(super) async fn unlock(&self, actor: Actor, what: Unlock, rows: &Sender<Value>) -> Result<(), Failure> {
        let Some(daemon) = &self.daemon else {
            return Err(Failure::Refused("no daemon runs, and so nothing is locked".into()));
        };
        let (client, network) = match &what {
            Unlock::Client(name) => (Some(name.clone()), None),
            Unlock::Network(address) => (None, Some(*address)),
        };
        self.store.commit(Change::Note, actor, Event::LoginsUnlocked { client, network }).await?;
        give(rows, json!({ "unlocked": daemon.accounts.unlock(&what) })).await
    }
}
