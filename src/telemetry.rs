//! Installs what the rooms speak to through the `tracing` and `metrics` facades.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("[log] filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("a log subscriber is already installed")]
    Installed,
    #[error("the metrics recorder: {0}")]
    Metrics(#[from] BuildError),
}

/// Writes the log to standard error, where systemd and containers expect it.
pub fn install_log(log: &Log) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&log.filter)?)
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr);
    let installed = match log.format {
        LogFormat::Text => builder.with_target(false).with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    installed.map_err(|_| TelemetryError::Installed)
}

/// The text of `/metrics`.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Bounds of the histograms of seconds: from a local commit to a partner that thinks for a minute.
const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

pub fn install_metrics() -> Result<Metrics, TelemetryError> {
    let handle = PrometheusBuilder::new().set_buckets(SECONDS)?.install_recorder()?;
    Ok(Metrics(handle))
}

impl Metrics {
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
