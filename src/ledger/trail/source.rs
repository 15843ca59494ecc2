//! What both stores have in common: the questions, and the rows that answer them.

use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::Value as Json;

use super::{ChainHead, Filter, TrailError};
use crate::ledger::agent::AgentClass;

/// One moment of a store: whatever is asked of it, nothing comes in between.
pub(super) trait Source {
    fn dialect(&self) -> Dialect;

    /// Calls `each` with every row of the answer, as long as it wants more; one is in memory at a time.
    fn rows(&mut self, question: &Question, each: &mut EachRow<'_>) -> Result<(), TrailError>;

    /// The only number in the answer.
    fn number(&mut self, question: &Question) -> Result<u64, TrailError>;

    /// The end of each chain.
    fn heads(&mut self) -> Result<Vec<ChainHead>, TrailError>;
}

pub(super) type EachRow<'a> = dyn FnMut(Row) -> Result<ControlFlow<()>, TrailError> + 'a;

/// More rows are wanted.
pub(super) const GO_ON: Result<ControlFlow<()>, TrailError> = Ok(ControlFlow::Continue(()));

/// In what the stores differ.
pub(super) struct Dialect {
    pub table: &'static str,
    /// The name of the chain, if there is more than one.
    pub writer: &'static str,
    /// The order in which records came.
    pub order: &'static str,
    /// A condition on the day of filing that follows from `at >=` the value in place of `{}`: no record is filed under a
    /// day before its own.
    pub filed_since: &'static str,
    /// Whether that condition makes looking for accesses faster.
    pub is_parted: bool,
    /// Whether numbers are of one journal.
    pub is_numbered: bool,
}

/// A record of an access, as it is kept. Columns are read by their place in [`COLUMNS`].
pub(super) struct Row {
    pub writer: Option<Vec<u8>>,
    pub seq: u64,
    pub at: u64,
    pub site: String,
    pub event: String,
    pub link: Option<Vec<u8>>,
    pub epoch: Option<String>,
    pub visitor: Option<Vec<u8>>,
    pub core: Vec<u8>,
    pub country: Option<String>,
    pub referrer: Option<String>,
}

const COLUMNS: &str = "seq, at, site, event, link, epoch, visitor, core, country, referrer";

/// What of a core is told.
#[derive(Default, Deserialize)]
pub(super) struct Core {
    pub actor: Option<String>,
    cls: Option<String>,
    pub st: Option<u64>,
    #[serde(default)]
    pub by: u64,
    #[serde(default)]
    pub full: bool,
    pub detail: Option<Json>,
}

impl Row {
    /// What the core says; of one that cannot be read, nothing. Whether it is as it was written is for `verify`.
    pub fn core(&self) -> Core {
        serde_json::from_slice(&self.core).unwrap_or_default()
    }
}

impl Core {
    /// The kind of program, by its name.
    pub fn class(&self) -> AgentClass {
        self.cls.as_deref().and_then(AgentClass::from_word).unwrap_or(AgentClass::Unknown)
    }

    /// Whether the record tells the end of a download that another record told the start of.
    pub fn is_sequel(&self) -> bool {
        self.detail.as_ref().and_then(|detail| detail.get("of")).is_some_and(|of| !of.is_null())
    }
}

/// A value in a question.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Bytes(Vec<u8>),
    Number(i64),
}

/// SQL that both stores understand, and its values, `$1` the first.
pub(super) struct Question {
    pub sql: String,
    pub values: Vec<Value>,
}

/// In which order records are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they came.
    Arrival,
    /// All of a link together, by their times.
    Link,
}

impl Question {
    /// Accesses that `filter` wants. Husks and records of the ledger's own life are none. Its classes are not looked at:
    /// what an access counts as shows only by its neighbours.
    pub fn accesses(dialect: &Dialect, filter: &Filter, order: Order) -> Question {
        let order = if order == Order::Link { "site, link, at" } else { dialect.order };
        Question::events(dialect, Conditions::of(dialect, filter), order)
    }

    /// The same, in order of arrival, after what `filter` names.
    pub fn page(dialect: &Dialect, filter: &Filter) -> Question {
        if !dialect.is_numbered {
            let from = filter.from.max(filter.after);
            return Question::accesses(dialect, &Filter { from, ..filter.clone() }, Order::Arrival);
        }
        let mut conditions = Conditions::of(dialect, filter);
        conditions.and("seq > {}", filter.after.map(|seq| Value::Number(number(seq))));
        Question::events(dialect, conditions, dialect.order)
    }

    /// Accesses of `visitor`, who has that pseudonym in `epoch` at the site of `filter` only.
    pub fn visits(dialect: &Dialect, filter: &Filter, epoch: &str, visitor: &[u8]) -> Question {
        let mut conditions = Conditions { sql: String::new(), values: Vec::new() };
        conditions.and("epoch = {}", Some(Value::Text(epoch.to_owned())));
        conditions.and("visitor = {}", Some(Value::Bytes(visitor.to_vec())));
        conditions.push(dialect, filter);
        Question::events(dialect, conditions, dialect.order)
    }

    /// How many visitors there are of accesses that `filter` wants.
    pub fn visitors(dialect: &Dialect, filter: &Filter) -> Question {
        let Conditions { sql, values } = Conditions::of(dialect, filter);
        let table = dialect.table;
        let sql = format!(
            "SELECT count(*) FROM (SELECT DISTINCT site, epoch, visitor FROM {table} WHERE visitor IS NOT NULL{sql}) AS one"
        );
        Question { sql, values }
    }

    /// Records of what was lost, filed since `from`.
    pub fn gaps(dialect: &Dialect, from: u64) -> Question {
        let mut conditions = Conditions { sql: String::new(), values: Vec::new() };
        conditions.and(dialect.filed_since, Some(Value::Number(number(from))));
        let Dialect { table, writer, order, .. } = dialect;
        let sql =
            format!("SELECT {writer}, {COLUMNS} FROM {table} WHERE event = 'gap'{} ORDER BY {order}", conditions.sql);
        Question { sql, values: conditions.values }
    }

    fn events(dialect: &Dialect, Conditions { sql, values }: Conditions, order: &str) -> Question {
        let Dialect { table, writer, .. } = dialect;
        let sql = format!(
            "SELECT {writer}, {COLUMNS} FROM {table} WHERE event IN ('open', 'download', 'denied'){sql} ORDER BY {order}"
        );
        Question { sql, values }
    }

    /// Opens on any link by visitors of whom `filter` wants an open, and who may have made `several` of them within
    /// `within_ms`; each visitor's together, by their times.
    pub fn hasty(dialect: &Dialect, filter: &Filter, several: usize, within_ms: u64) -> Question {
        let around = Filter {
            site: None,
            link: None,
            from: filter.from.map(|from| from.saturating_sub(within_ms)),
            to: filter.to.map(|to| to.saturating_add(within_ms)),
            ..Filter::default()
        };
        let mut conditions = Conditions::of(dialect, &around);
        let around = conditions.sql.clone();
        let Dialect { table, writer, .. } = dialect;
        let opens = "event = 'open' AND link IS NOT NULL AND visitor IS NOT NULL";
        let (before, whole) = (several.saturating_sub(1), number(within_ms));
        let suspects = if filter.link.is_some() {
            conditions.clear();
            conditions.push(dialect, filter);
            let wanted = std::mem::take(&mut conditions.sql);
            // This much can be told from an index alone.
            format!(
                "SELECT epoch, visitor FROM {table} AS o WHERE {opens}{wanted} AND (SELECT count(*) FROM {table} AS n \
                 WHERE n.epoch = o.epoch AND n.visitor = o.visitor AND n.at BETWEEN o.at - {whole} AND o.at + {whole}) \
                 >= {several}"
            )
        } else {
            format!(
                "SELECT epoch, visitor FROM (SELECT epoch, visitor, at, \
                 lag(at, {before}) OVER (PARTITION BY epoch, visitor ORDER BY at) AS earlier \
                 FROM {table} WHERE {opens}{around}) AS one WHERE at - earlier <= {whole}"
            )
        };
        let sql = format!(
            "SELECT {writer}, {COLUMNS} FROM {table} WHERE {opens}{around} AND (epoch, visitor) IN ({suspects}) \
             ORDER BY epoch, visitor, at"
        );
        Question { sql, values: conditions.values }
    }
}

/// SQL after a first condition, and the values so far.
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn of(dialect: &Dialect, filter: &Filter) -> Conditions {
        let mut conditions = Conditions { sql: String::new(), values: Vec::new() };
        conditions.push(dialect, filter);
        conditions
    }

    /// Forgets the conditions but not the values, whose places are taken.
    fn clear(&mut self) {
        self.sql.clear();
    }

    fn push(&mut self, dialect: &Dialect, filter: &Filter) {
        let time = |at: u64| Value::Number(number(at));
        let wanted = [
            (Some("site = {}"), filter.site.clone().map(Value::Text)),
            (Some("link = {}"), filter.link.map(|link| Value::Bytes(link.to_vec()))),
            (Some("at >= {}"), filter.from.map(time)),
            (dialect.is_parted.then_some(dialect.filed_since), filter.from.map(time)),
            (Some("at < {}"), filter.to.map(time)),
        ];
        for (condition, value) in wanted {
            if let Some(condition) = condition {
                self.and(condition, value);
            }
        }
    }

    /// `condition` on `value`, if there is one.
    fn and(&mut self, condition: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.values.push(value);
            let place = format!("${}", self.values.len());
            self.sql.push_str(" AND ");
            self.sql.push_str(&condition.replace("{}", &place));
        }
    }
}

fn number(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
