//! Another process that holds the database, for tests: as long as it does, the store cannot write.

use std::path::Path;

use sqlx::{AnyConnection, Connection};

use crate::store::dialect::Dialect;

pub(crate) struct Holding(AnyConnection);

impl Holding {
    pub(crate) async fn start(data_dir: &Path) -> Holding {
        let (_, options) = Dialect::read("sqlite", data_dir).unwrap();
        let mut connection = AnyConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("begin immediate").execute(&mut connection).await.unwrap();
        Holding(connection)
    }

    pub(crate) async fn end(self) {
        self.0.close().await.unwrap();
    }
}
