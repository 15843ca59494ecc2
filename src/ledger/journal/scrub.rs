//! Wiping what SQLite leaves behind.
//!
//! With `secure_delete`, SQLite overwrites what it deletes where it is. But when it moves rows from one page to another
//! to even them out, it leaves the old copy in the unused middle of the page, and knows nothing of it any more when the
//! row is deleted later. So after something was removed, the unused middle of every page is overwritten. Pages are read
//! and written by SQLite itself, in transactions, as rows of `sqlite_dbpage`.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::failure::StorageKind;
use super::schema::Store;

/// Pages that are wiped in one transaction.
const BATCH: usize = 256;

/// Among more pages, one that is no b-tree could look like one by the number that it begins with.
const MOST_PAGES: u32 = 0x0200_0000;

/// Says in the database that something was removed of which traces may be left.
pub(super) fn note_removed(connection: &Connection) -> Result<(), StorageKind> {
    connection.prepare_cached("INSERT OR IGNORE INTO meta VALUES ('unclean', x'')")?.execute([])?;
    Ok(())
}

/// Wipes the traces of what was removed from the database and from its write-ahead log, if there are any. `rest` is
/// called between transactions.
pub(super) fn wipe(store: &mut Store, mut rest: impl FnMut()) -> Result<(), StorageKind> {
    let unclean = "SELECT 1 FROM meta WHERE key = 'unclean'";
    if store.connection.query_row(unclean, [], |_| Ok(())).optional()?.is_none() {
        return Ok(());
    }
    let pages: u32 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages >= MOST_PAGES || !has_pages(&store.connection)? {
        return Err(StorageKind::Unwiped);
    }
    let mut stained = Vec::new();
    // The first page holds the schema.
    for page in 2..=pages {
        if read(&store.connection, page)?.is_some_and(|mut bytes| wipe_middle(&mut bytes)) {
            stained.push(page);
        }
        if stained.len() == BATCH || (page == pages && !stained.is_empty()) {
            wipe_pages(store, &stained)?;
            stained.clear();
            rest();
        }
    }
    store.empty_log()?;
    store.connection.execute("DELETE FROM meta WHERE key = 'unclean'", [])?;
    Ok(())
}

fn has_pages(connection: &Connection) -> Result<bool, StorageKind> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'sqlite_dbpage')";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

fn read(connection: &Connection, page: u32) -> Result<Option<Vec<u8>>, StorageKind> {
    let mut statement = connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    Ok(statement.query_row([page], |row| row.get(0)).optional()?)
}

fn wipe_pages(store: &mut Store, pages: &[u32]) -> Result<(), StorageKind> {
    let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for page in pages {
        // As it is now: it may have changed since.
        if let Some(mut bytes) = read(&transaction, *page)?
            && wipe_middle(&mut bytes)
        {
            let mut statement = transaction.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?;
            statement.execute(params![page, bytes])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Overwrites what lies between the pointers to the cells of a b-tree page and the first cell (SQLite's file format,
/// section 1.6), and says whether anything was there.
fn wipe_middle(page: &mut [u8]) -> bool {
    let number = |at: usize| match page.get(at..at + 2) {
        Some([high, low]) => usize::from(*high) << 8 | usize::from(*low),
        _ => 0,
    };
    let header = match page.first() {
        Some(2 | 5) => 12,
        Some(10 | 13) => 8,
        // Of another kind: overflow, or free and overwritten as a whole.
        _ => return false,
    };
    let end = match number(5) {
        0 => 0x1_0000,
        end => end,
    };
    let Some(middle) = page.get_mut(header + 2 * number(3)..end) else { return false };
    let is_stained = middle.iter().any(|byte| *byte != 0);
    middle.fill(0);
    is_stained
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_points_to_is_wiped() {
        for (kind, header) in [(2, 12), (5, 12), (10, 8), (13, 8)] {
            let mut page = vec![7; 512];
            // Two cells; the first begins at 400.
            page[..8].copy_from_slice(&[kind, 0, 0, 0, 2, 1, 144, 0]);
            let before = page.clone();
            assert!(wipe_middle(&mut page), "{kind}");
            let from = header + 4;
            assert_eq!((&page[..from], &page[400..]), (&before[..from], &before[400..]), "{kind}");
            assert!(page[from..400].iter().all(|byte| *byte == 0), "{kind}");
            assert!(!wipe_middle(&mut page), "once is enough");
        }
        for (kind, cells, start) in [(0, 1, 400), (1, 1, 400), (13, 300, 400), (13, 1, 513), (13, 1, 0)] {
            let (cells, start): (u16, u16) = (cells, start);
            let mut page = vec![7; 512];
            page[0] = kind;
            page[3..5].copy_from_slice(&cells.to_be_bytes());
            page[5..7].copy_from_slice(&start.to_be_bytes());
            let before = page.clone();
            assert!(!wipe_middle(&mut page) && page == before, "{kind} {cells} {start}");
        }
        assert!(!wipe_middle(&mut []));
    }
}
