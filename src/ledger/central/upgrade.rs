//! The tables of the central store, brought to the version that this program knows.

use postgres::Client;

use super::error::CentralError;

refinery::embed_migrations!("src/ledger/central/migrations");

/// The versions that were applied are noted here.
const TABLE: &str = "consentry.migration";

/// Held while tables are made, so that replicas may start together. The numbers are ours alone.
const LOCK: &str = "pg_advisory_lock(7166167, 1)";
const UNLOCK: &str = "pg_advisory_unlock(7166167, 1)";

/// Makes or changes tables, if need be; whoever finds them up to date needs no right to.
///
/// # Errors
/// They are newer than this program, or the user may not make tables.
pub fn upgrade(client: &mut Client) -> Result<(), CentralError> {
    if is_current(client)? {
        return Ok(());
    }
    client.batch_execute(&format!("SELECT {LOCK}"))?;
    let upgraded = migrate(client);
    // A connection that is lost has lost its lock.
    let _ = client.batch_execute(&format!("SELECT {UNLOCK}"));
    upgraded
}

fn migrate(client: &mut Client) -> Result<(), CentralError> {
    // The schema may have been made for us, in a database where we may not.
    let schema: bool = client.query_one("SELECT to_regnamespace('consentry') IS NOT NULL", &[])?.try_get(0)?;
    if !schema {
        client.batch_execute("CREATE SCHEMA consentry")?;
    }
    // Another replica may have done it while we waited.
    if is_current(client)? {
        return Ok(());
    }
    let mut runner = migrations::runner().set_grouped(true);
    runner.set_migration_table_name(TABLE);
    runner.run(client).map(drop).map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        CentralError::Migration(cause.to_string())
    })
}

/// Whether the tables are of the version that this program knows.
fn is_current(client: &mut Client) -> Result<bool, CentralError> {
    let known =
        migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or_default();
    let made: bool = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&TABLE])?.try_get(0)?;
    if !made {
        return Ok(false);
    }
    let found: Option<i32> = client.query_one("SELECT max(version) FROM consentry.migration", &[])?.try_get(0)?;
    match found {
        Some(found) if found > known => Err(CentralError::Newer { found, known }),
        found => Ok(found == Some(known)),
    }
}
