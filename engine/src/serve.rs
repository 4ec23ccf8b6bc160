//! The processes that others talk to: a scheduler, and executors that ask it for tasks. Neither serves anything but what is
//! set up here, and that to those alone who know the secret.

use crate::{
    secret::Secret,
    worker::{Worker, function},
};
use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::{
    ConfigProducer,
    config::TaskSchedulingPolicy,
    error::BallistaError,
    extension::SessionConfigExt,
    registry::BallistaFunctionRegistry,
    serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer,
    utils::{GrpcServerConfig, create_grpc_server},
};
use ballista_executor::{
    executor_process::{ExecutorProcessConfig, start_executor_process},
    flight_service::BallistaFlightService,
};
use ballista_scheduler::{cluster::BallistaCluster, config::SchedulerConfig, scheduler_process::create_scheduler};
use datafusion::{
    error::DataFusionError,
    execution::{SessionState, SessionStateBuilder},
    prelude::SessionConfig,
};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use protostill::error::{Error, Result};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
};
use tonic::service::InterceptorLayer;

/// Seconds after which an executor that is silent is taken for dead (a busy one speaks every five), and that all may be
/// missing.
const DEAD: u64 = 12;
const ALL_MISSING: u64 = 120;
/// Attempts at a task: only a death costs one, a failure is an answer.
const ATTEMPTS: usize = 8;

/// Of a session: what it asks of others carries the secret.
pub fn config(secret: &Secret) -> SessionConfig {
    SessionConfig::new_with_ballista().with_ballista_override_create_grpc_client_endpoint(secret.said())
}

fn producer(secret: &Secret) -> ConfigProducer {
    let secret = secret.clone();
    Arc::new(move || config(&secret))
}

/// Serves until it is stopped.
///
/// # Errors
/// [`Error::Setting`] if the address is taken, or not to be served without a secret.
pub async fn scheduler(bind: SocketAddr, secret: Secret) -> Result<()> {
    secret.suffices(bind.ip())?;
    let settings = SchedulerConfig {
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        bind_host: bind.ip().to_string(),
        bind_port: bind.port(),
        external_host: bind.ip().to_string(),
        executor_timeout_seconds: DEAD,
        expire_dead_executor_interval_seconds: 1,
        no_executors_grace_period_seconds: ALL_MISSING,
        task_max_failures: ATTEMPTS,
        stage_max_failures: ATTEMPTS,
        override_config_producer: Some(producer(&secret)),
        override_session_builder: Some(Arc::new(session)),
        override_create_grpc_client_endpoint: Some(secret.said()),
        ..SchedulerConfig::default()
    };
    let failed = |e: BallistaError| Error::setting("scheduler", e.to_string());
    settings.validate().map_err(failed)?;
    let cluster = BallistaCluster::new_from_config(&settings).await.map_err(failed)?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(settings)).await;
    create_grpc_server(&GrpcServerConfig::default())
        .layer(InterceptorLayer::new(secret.asked()))
        .add_service(SchedulerGrpcServer::new(scheduler.map_err(failed)?))
        .serve(bind)
        .await
        .map_err(|e| Error::setting("--bind", format!("{bind} cannot be served: {}", root(&e))))
}

/// Plans that name the function are read by name.
fn session(config: SessionConfig) -> std::result::Result<SessionState, DataFusionError> {
    let functions = ballista_core::extension::ballista_scalar_functions();
    let ours = std::iter::once(Arc::new(function(None)));
    let state = SessionStateBuilder::new_with_default_features().with_config(config);
    Ok(state.with_scalar_functions(functions.into_iter().chain(ours).collect()).build())
}

/// Works for the scheduler until it is stopped.
///
/// # Errors
/// [`Error::Setting`] if the scheduler cannot be reached, or the address is not to be served without a secret.
pub async fn executor(
    worker: Arc<Worker>,
    scheduler: SocketAddr,
    bind: IpAddr,
    slots: usize,
    secret: Secret,
) -> Result<()> {
    secret.suffices(bind)?;
    let mut registry = BallistaFunctionRegistry::default();
    let function = function(Some(worker));
    registry.scalar_functions.insert(function.name().to_owned(), Arc::new(function));
    let folder = tempfile::tempdir().map_err(Error::io("a temporary folder"))?;
    let asked = secret.asked();
    let settings = ExecutorProcessConfig {
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        bind_host: bind.to_string(),
        external_host: Some(bind.to_string()),
        port: free_port(bind)?,
        scheduler_host: scheduler.ip().to_string(),
        scheduler_port: scheduler.port(),
        scheduler_connect_timeout_seconds: 20,
        vcores: slots,
        work_dir: Some(folder.path().display().to_string()),
        memory_pool_size: Some(0),
        override_function_registry: Some(Arc::new(registry)),
        override_config_producer: Some(producer(&secret)),
        override_create_grpc_client_endpoint: Some(secret.said()),
        override_arrow_flight_service: Some(Arc::new(move |folder, address, mut end, config| {
            let mut server = create_grpc_server(&config).layer(InterceptorLayer::new(asked.clone()));
            let server = server.add_service(FlightServiceServer::new(BallistaFlightService::new(folder)));
            tokio::spawn(async move {
                server.serve_with_shutdown(address, end.recv()).await.map_err(BallistaError::TonicError)
            })
        })),
        ..ExecutorProcessConfig::default()
    };
    protostill::cli::print(format_args!("works for {scheduler}"))?;
    let failed = |e: BallistaError| Error::setting("--scheduler", format!("{scheduler}: {e}"));
    start_executor_process(Arc::new(settings)).await.map_err(failed)
}

/// A port that nobody has now.
fn free_port(bind: IpAddr) -> Result<u16> {
    let port = TcpListener::bind((bind, 0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|e| Error::setting("--bind", format!("{bind}: {e}")))
}

/// What an error is about at last.
fn root(e: &dyn std::error::Error) -> String {
    e.source().map_or_else(|| e.to_string(), root)
}
