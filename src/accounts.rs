//! Who may submit: logins, their passwords, and the senders they may use.
