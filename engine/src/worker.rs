//! Carries tasks out: the function that the engine's SQL calls.

use crate::message::{Answer, Order, Program};
use datafusion::{
    arrow::{array::StringArray, datatypes::DataType},
    common::cast::as_string_array,
    error::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use protostill::{
    cli::{self, args::Global},
    error::Error,
    fingerprint::Fingerprint,
    pipeline::{Ctx, engine::Task, workbench::Workbench},
};
use serde::Deserialize;
use std::{
    fmt::{self, Debug},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// As SQL calls it.
pub const FUNCTION: &str = "protostill";

/// Data set and checkpoints of the last tasks, which the next ones mostly share.
type Bench = Mutex<Option<(String, Arc<Workbench>)>>;

/// One who carries tasks out.
pub struct Worker {
    global: Global,
    deadline: Duration,
    bench: Bench,
}

impl Worker {
    /// Works as the command line says, and gives a task up that took longer than `deadline`.
    pub fn new(global: Global, deadline: Duration) -> Self {
        Self { global, deadline, bench: Mutex::default() }
    }

    /// Orders and answers are JSON.
    fn answer(self: &Arc<Self>, order: &str) -> String {
        let made = self.obey(order).map_or_else(Answer::Failed, Answer::Made);
        serde_json::to_string(&made).unwrap_or_default()
    }

    fn obey(self: &Arc<Self>, order: &str) -> std::result::Result<Fingerprint, String> {
        let this = Program::this();
        // Before anything else: a message of another version need not be one that can be read.
        let asked = serde_json::from_str::<serde_json::Value>(order).ok();
        let asked = asked.and_then(|order| Program::deserialize(order.get("program")?).ok());
        let asked = asked.ok_or("this is no task of protostill")?;
        if asked != this {
            return Err(format!(
                "an executor is protostill {}, this is {}: start the same",
                this.words(),
                asked.words()
            ));
        }
        let order: Order = serde_json::from_str(order).map_err(|e| e.to_string())?;
        let (send, done) = mpsc::channel();
        let (stop, worker) = (Arc::<std::sync::atomic::AtomicBool>::default(), self.clone());
        let ctx = Ctx::new(stop.clone(), |_| {});
        let work = move || drop(send.send(worker.carry_out(&order, &ctx).map_err(|e| e.to_string())));
        thread::Builder::new().name("task".into()).spawn(work).map_err(|e| e.to_string())?;
        done.recv_timeout(self.deadline).unwrap_or_else(|e| {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            Err(match e {
                mpsc::RecvTimeoutError::Timeout => {
                    format!("given up after {} s, the executor's --deadline", self.deadline.as_secs())
                }
                mpsc::RecvTimeoutError::Disconnected => "the executor met a defect; its log says more".into(),
            })
        })
    }

    fn carry_out(&self, order: &Order, ctx: &Ctx) -> protostill::error::Result<Fingerprint> {
        self.bench(order, ctx)?.carry_out(&order.task, ctx)
    }

    fn bench(&self, order: &Order, ctx: &Ctx) -> protostill::error::Result<Arc<Workbench>> {
        let draws = matches!(order.task, Task::Draw(..));
        let key = serde_json::json!([order.config, order.store, draws]).to_string();
        let mut held = self.bench.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, bench)) = &*held
            && *of == key
        {
            return Ok(bench.clone());
        }
        if !order.store.is_dir() {
            let message = format!("{} is not there on every machine", order.store.display());
            return Err(Error::setting("--store", message).or("name a folder that all machines share"));
        }
        let global = Global { store: Some(order.store.clone()), ..self.global.clone() };
        let bench = Arc::new(cli::worker(&global, &order.config, draws, ctx)?);
        *held = Some((key, bench.clone()));
        Ok(bench)
    }
}

/// The function for a session of the engine. The scheduler and a command know it by name alone: `worker` is one who works.
pub fn function(worker: Option<Arc<Worker>>) -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Utf8], Volatility::Volatile);
    ScalarUDF::new_from_impl(Function { signature, worker })
}

struct Function {
    signature: Signature,
    worker: Option<Arc<Worker>>,
}

impl Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FUNCTION)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(worker) = &self.worker else {
            return datafusion::common::exec_err!("{FUNCTION} is for executors");
        };
        let orders = ColumnarValue::values_to_arrays(&args.args)?;
        let orders = as_string_array(&orders[0])?;
        let answers: StringArray = orders.iter().map(|order| order.map(|order| worker.answer(order))).collect();
        Ok(ColumnarValue::Array(Arc::new(answers)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[test]
    fn an_order_of_another_build_is_refused_whatever_else_it_says_and_so_is_what_is_none() {
        let global = cli::args::Cli::parse_from(["protostill"]).global;
        let worker = Arc::new(Worker::new(global, Duration::MAX));
        let why = |order: &str| match serde_json::from_str(&worker.answer(order)).unwrap() {
            Answer::Failed(why) => why,
            Answer::Made(name) => panic!("{name}"),
        };
        let order = r#"{"program": {"version": "9.9.9", "commit": "0123456789abcdef"}, "task": "of a later day"}"#;
        let told = why(order);
        assert!(told.contains(&Program::this().words()), "{told}");
        assert!(told.ends_with("this is 9.9.9 (0123456789ab): start the same"), "{told}");
        for none in ["", "{", "[]", r#"{"program": 1}"#] {
            assert_eq!(why(none), "this is no task of protostill");
        }
    }
}
