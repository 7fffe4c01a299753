//! `org.nmstate.Ipsec1.Transactions` ([`nmstate_ipsec_core::daemon_api::TransactionsProxy`]).

use std::sync::Arc;

use nmstate_ipsec_core::daemon_api::{Applied, ApplyOptions, Declaration, TransactionError};
use zbus::message::Header;

use super::manager::client;
use crate::transaction;

/// The object's face for transactions.
#[derive(Debug)]
pub struct Transactions(Arc<transaction::Transactions>);

impl Transactions {
    /// Puts `transactions` onto the bus.
    pub fn new(transactions: Arc<transaction::Transactions>) -> Self {
        Self(transactions)
    }
}

#[zbus::interface(name = "org.nmstate.Ipsec1.Transactions")]
impl Transactions {
    /// Carries declarations out, all of them or none.
    async fn apply(
        &self,
        options: ApplyOptions,
        declarations: Vec<Declaration>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &zbus::Connection,
    ) -> Result<Applied, TransactionError> {
        let client = client(bus, &header);
        self.0.apply(options, declarations, &client).await
    }

    /// Begins a transaction whose caller has something else to do first.
    async fn prepare(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &zbus::Connection,
    ) -> Result<(), TransactionError> {
        self.0.prepare(&client(bus, &header)).await
    }

    /// Makes what was applied without commit last.
    async fn commit(&self) -> Result<(), TransactionError> {
        self.0.commit().await
    }

    /// Undoes what was applied without commit.
    async fn rollback(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &zbus::Connection,
    ) -> Result<Vec<String>, TransactionError> {
        self.0.rollback(&client(bus, &header)).await
    }
}
