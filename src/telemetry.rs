//! Installs what the rooms speak to through the `tracing` and `metrics` facades.

use std::panic::{self, Location};

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

/// Says where a panic happened, and never what it said: that may quote the mail that it choked on. The hook that stands
/// there by default writes both to standard error.
pub fn install_panic_hook() {
    panic::set_hook(Box::new(|panicked| tell_panic(panicked.location())));
}

fn tell_panic(at: Option<&Location<'_>>) {
    let (file, line) = at.map_or(("unknown", 0), |at| (at.file(), at.line()));
    tracing::error!(panic.file = file, panic.line = line, "a fault of ours at {file}:{line}");
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_told_by_its_place_and_not_by_its_words() {
        let paper = Paper::default();
        let written = paper.clone();
        let log = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
        let before = panic::take_hook();
        install_panic_hook();
        let line = line!() + 2;
        let result = tracing::subscriber::with_default(log, || {
            panic::catch_unwind(|| panic!("cannot read Maribel Quist, MRN 00482913"))
        });
        panic::set_hook(before);
        assert!(result.is_err());
        let told = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert!(told.contains(&format!("a fault of ours at src/telemetry.rs:{line}")), "{told}");
        assert!(!told.contains("Quist") && !told.contains("00482913"), "{told}");
    }
}
