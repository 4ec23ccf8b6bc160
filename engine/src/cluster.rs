//! The engine of a command: tasks become the rows of a table, and a query has every row carried out.

use crate::{
    message::{Answer, Order, Program},
    secret::Secret,
    serve::config,
    worker::{FUNCTION, Worker, function},
};
use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray, UInt64Array},
        error::ArrowError,
    },
    common::cast::{as_string_array, as_uint64_array},
    error::DataFusionError,
    execution::SessionStateBuilder,
    parquet::arrow::ArrowWriter,
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use protostill::{
    config::Config,
    error::{Error, Result},
    fingerprint::Fingerprint,
    pipeline::engine::{Engine, Task},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Runtime;

/// Most pieces that tasks are given out in: a piece is one executor's, and is done again as a whole if that is lost.
const PIECES: usize = 1024;
/// Between two looks whether all is done, and how many of them come to one at the store, which may be far away.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 10;
/// How often a query that failed is asked again: with a scheduler that is gone each takes no time.
const AGAIN: usize = 3;
/// Failed tasks that a message names.
const NAMED: usize = 3;

/// Where tasks are carried out.
#[derive(Clone)]
pub enum On {
    /// In this process.
    Here(Arc<Worker>),
    /// By the executors of the scheduler at this address, as `df://HOST:PORT`.
    There(String, Secret),
}

/// The engine for a data set, checkpoints and a store.
pub struct Cluster {
    on: On,
    config: Config,
    store: PathBuf,
    runtime: Runtime,
}

impl Cluster {
    /// For workers that find the same files under the same names.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that is not there, or if no thread can be had.
    pub fn new(on: On, config: &Config, store: &Path) -> Result<Self> {
        let mut config = protostill::cli::anywhere(config.clone())?;
        for checkpoint in [&mut config.models.clip, &mut config.models.decoder, &mut config.models.encoders] {
            let folder = Path::new(checkpoint);
            if folder.exists() {
                *checkpoint = whole(folder)?.display().to_string();
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Ok(Self { on, config, store: whole(store)?, runtime: runtime.map_err(Error::io("the engine"))? })
    }

    /// The tasks as a table: a file is a piece.
    fn write(&self, tasks: &[Task], to: &Path) -> Result<()> {
        let order = |task: &Task| Order {
            program: Program::this(),
            config: self.config.clone(),
            store: self.store.clone(),
            task: task.clone(),
        };
        let pieces = tasks.len().min(PIECES);
        for piece in 0..pieces {
            let numbers: Vec<usize> = (piece..tasks.len()).step_by(pieces).collect();
            let orders = numbers.iter().map(|&n| serde_json::to_string(&order(&tasks[n])));
            let orders = orders.collect::<std::result::Result<Vec<_>, _>>();
            let path = to.join(format!("{piece:04}.parquet"));
            let orders = orders.map_err(|e| Error::input(&path, e.to_string()))?;
            let written = || {
                let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(numbers.iter().map(|&n| n as u64)));
                let orders: ArrayRef = Arc::new(StringArray::from_iter_values(&orders));
                let rows = RecordBatch::try_from_iter([("number", numbers), ("task", orders)])?;
                let mut file = ArrowWriter::try_new(File::create(&path)?, rows.schema(), None)?;
                file.write(&rows)?;
                file.close().map_err(ArrowError::from)
            };
            written().map_err(|e| Error::input(&path, e.to_string()))?;
        }
        Ok(())
    }

    /// Has the table carried out: the answers, or what the engine says.
    fn ask(&self, table: &Path, watch: &mut dyn FnMut() -> Result<()>) -> Result<std::result::Result<Answers, String>> {
        let query = self.runtime.spawn(answers(self.on.clone(), table.to_owned()));
        for look in 0.. {
            if query.is_finished() {
                break;
            }
            if look % LOOKS == 0
                && let Err(e) = watch()
            {
                query.abort();
                return Err(e);
            }
            std::thread::sleep(LOOK);
        }
        let ended = self.runtime.block_on(query).map_err(|e| e.to_string());
        Ok(ended.and_then(|answers| answers.map_err(|e| e.to_string())))
    }
}

/// Answers, and which task each is to, in no order.
type Answers = Vec<(usize, Answer)>;

impl Engine for Cluster {
    fn run(&self, tasks: &[Task], watch: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Fingerprint>> {
        let table =
            tempfile::Builder::new().prefix(".tasks-").tempdir_in(&self.store).map_err(Error::io(&self.store))?;
        self.write(tasks, table.path())?;
        let mut again = AGAIN;
        let answers = loop {
            match self.ask(table.path(), watch)? {
                Ok(answers) => break answers,
                // An executor may have died with answers that nobody had fetched; what it left in the store is found again.
                Err(_) if again > 0 => again -= 1,
                Err(e) => {
                    let message = format!("{}: {}", self.on.words(), e.lines().next().unwrap_or_default());
                    return Err(Error::setting("--on", message).or("run it again: what is done stays done"));
                }
            }
            std::thread::sleep(LOOK);
        };
        watch()?;
        settled(tasks, answers)
    }
}

impl On {
    fn words(&self) -> &str {
        match self {
            Self::Here(_) => "this process",
            Self::There(address, _) => address,
        }
    }

    /// A session with the function that carries tasks out.
    async fn session(&self) -> std::result::Result<SessionContext, DataFusionError> {
        let state = SessionStateBuilder::new_with_default_features();
        let scans = "datafusion.optimizer.repartition_file_scans";
        match self {
            Self::Here(worker) => {
                // Each task uses all threads: one after the other.
                let config = SessionConfig::new().set_bool(scans, false).with_target_partitions(1);
                let session = SessionContext::new_with_state(state.with_config(config).build());
                session.register_udf(function(Some(worker.clone())));
                Ok(session)
            }
            Self::There(address, secret) => {
                let config = config(secret)
                    .set_bool(scans, false)
                    .with_target_partitions(PIECES)
                    .with_ballista_adaptive_query_planner(false)
                    .set_usize("ballista.scheduler.max_partitions_per_task", 1);
                let session = SessionContext::remote_with_state(address, state.with_config(config).build()).await?;
                // The state came back with the functions that everybody has.
                session.register_udf(function(None));
                Ok(session)
            }
        }
    }
}

/// The answer to each row of the table, in no order.
async fn answers(on: On, table: PathBuf) -> std::result::Result<Answers, DataFusionError> {
    let session = on.session().await?;
    session.register_parquet("tasks", table.display().to_string(), ParquetReadOptions::default()).await?;
    let query = session.sql(&format!("SELECT number, {FUNCTION}(arrow_cast(task, 'Utf8')) FROM tasks")).await?;
    let mut found = Vec::new();
    for rows in query.collect().await? {
        let (numbers, answers) = (as_uint64_array(rows.column(0))?, as_string_array(rows.column(1))?);
        for (number, answer) in numbers.iter().zip(answers) {
            let answer = serde_json::from_str(answer.unwrap_or_default());
            let answer = answer.unwrap_or_else(|e| Answer::Failed(format!("an answer that cannot be read: {e}")));
            found.push((number.unwrap_or_default() as usize, answer));
        }
    }
    Ok(found)
}

/// What all tasks made, or which of them failed.
fn settled(tasks: &[Task], answers: Answers) -> Result<Vec<Fingerprint>> {
    let mut made = vec![None; tasks.len()];
    for (number, answer) in answers {
        if let Some(slot) = made.get_mut(number) {
            *slot = Some(answer);
        }
    }
    let (mut names, mut failed) = (Vec::with_capacity(tasks.len()), Vec::new());
    for (task, answer) in tasks.iter().zip(made) {
        match answer {
            Some(Answer::Made(name)) => names.push(name),
            Some(Answer::Failed(why)) => failed.push(format!("{}: {why}", task.words())),
            None => failed.push(format!("{}: no answer", task.words())),
        }
    }
    if failed.is_empty() {
        return Ok(names);
    }
    let more = failed.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!(
        "{} of {} tasks failed: {}{more}",
        failed.len(),
        tasks.len(),
        failed[..failed.len().min(NAMED)].join("; ")
    );
    Err(Error::setting("executors", message).or("run it again: only these are done again"))
}

fn whole(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(Error::io(path))
}
