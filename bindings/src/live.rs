//! A capture while it happens, for Python.

use crate::{Analysis, LOOK_EVERY, parse_settings, source_error};
use pcapwatch_engine::capture::fed::{self, Fed, FedOptions, Feeder};
#[cfg(target_os = "linux")]
use pcapwatch_engine::capture::interface::InterfaceOptions;
use pcapwatch_engine::capture::interface::InterfaceSource;
use pcapwatch_engine::capture::stream::{Source, StreamSource};
use pcapwatch_engine::capture::write::WriteOptions;
use pcapwatch_engine::engine::live::{self, Concluded, Open};

use pcapwatch_engine::settings::{HostTable, Settings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A capture that goes on, in a thread of its own, until it is finished or dropped.
#[pyclass(frozen, module = "pcapwatch._engine")]
pub struct Live {
    engine: live::Live,
    settings: Settings,
    /// Where packets are fed, if they are.
    feeder: Option<Feeder>,
}

/// Options of [`Live::open_fed`].
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FedAndWritten {
    /// What is fed.
    fed: FedOptions,
    /// Of the files, if packets are to be kept.
    write: Option<WriteOptions>,
}

impl Live {
    fn start(open: Open, settings: Settings) -> PyResult<Live> {
        let engine = live::Live::start(open, &settings).map_err(source_error)?;
        Ok(Live { engine, settings, feeder: None })
    }

    fn analysis(&self, concluded: Concluded) -> Analysis {
        Analysis {
            outcome: Arc::new(concluded.outcome),
            settings: self.settings.clone(),
            packets: Mutex::new(concluded.replay),
        }
    }
}

#[pymethods]
impl Live {
    /// A pipe (`-`), or files of which the last may still grow.
    #[staticmethod]
    #[pyo3(signature = (paths, settings_json, follow=false, most_packets=None))]
    fn open_stream(
        paths: Vec<PathBuf>,
        settings_json: &str,
        follow: bool,
        most_packets: Option<u64>,
    ) -> PyResult<Live> {
        let settings = parse_settings(settings_json)?;
        let asked = settings.clone();
        let open = move || Ok(Box::new(StreamSource::open(&paths, &asked, follow, most_packets)?) as Box<dyn Source>);
        Live::start(Box::new(open), settings)
    }

    /// An interface. It is open when this returns.
    #[cfg(target_os = "linux")]
    #[staticmethod]
    #[pyo3(signature = (options_json, settings_json, most_packets=None))]
    fn open_interface(options_json: &str, settings_json: &str, most_packets: Option<u64>) -> PyResult<Live> {
        let options: InterfaceOptions =
            serde_json::from_str(options_json).map_err(|e| PyValueError::new_err(format!("options: {e}")))?;
        let settings = parse_settings(settings_json)?;
        let source = options.open(most_packets).map_err(source_error)?;
        Live::start(Box::new(move || Ok(source)), settings)
    }

    /// An interface whose packets are taken elsewhere, and fed.
    #[staticmethod]
    #[pyo3(signature = (options_json, settings_json, most_packets=None))]
    fn open_fed(options_json: &str, settings_json: &str, most_packets: Option<u64>) -> PyResult<Live> {
        let options: FedAndWritten =
            serde_json::from_str(options_json).map_err(|e| PyValueError::new_err(format!("options: {e}")))?;
        let settings = parse_settings(settings_json)?;
        let (feeder, tap) = fed::open(options.fed);
        let mut source = InterfaceSource::new(Box::new(tap), most_packets);
        options.write.map(|write| source.write(write)).transpose().map_err(source_error)?;
        let open = move || Ok(Box::new(source) as Box<dyn Source>);
        Ok(Live { feeder: Some(feeder), ..Live::start(Box::new(open), settings)? })
    }

    /// Gives packets; `False` if no more are wanted.
    fn feed(&self, py: Python<'_>, packets: Vec<Fed>) -> PyResult<bool> {
        let feeder = self.feeder.as_ref().ok_or_else(|| PyValueError::new_err("only what open_fed opened is fed"))?;
        Ok(py.detach(|| feeder.feed(packets)))
    }

    /// Waits; `False` once there is no more to come.
    fn run(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let wait = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("no length of time: {seconds}")))?;
        let begun = Instant::now();
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            let goes_on = py.detach(|| self.engine.wait(left.min(LOOK_EVERY))).map_err(source_error)?;
            py.check_signals()?;
            if !goes_on || begun.elapsed() >= wait {
                return Ok(goes_on);
            }
        }
    }

    /// How far it is, as JSON text.
    fn counters_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.engine.counters()).map_err(|e| PyValueError::new_err(e.to_string()))
    }

    /// What the analysis would be if nothing more came.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Analysis> {
        py.detach(|| self.engine.snapshot()).map(|concluded| self.analysis(concluded)).map_err(source_error)
    }

    /// Lays what hosts' kernels say beside what the wire does, in the next answers.
    fn hold_against(&self, tables_json: &str) -> PyResult<()> {
        let tables: Vec<HostTable> =
            serde_json::from_str(tables_json).map_err(|e| PyValueError::new_err(format!("tables: {e}")))?;
        self.engine.hold_against(tables);
        Ok(())
    }

    /// Ends the capture.
    fn finish(&self, py: Python<'_>) -> PyResult<Analysis> {
        py.detach(|| self.engine.finish()).map(|concluded| self.analysis(concluded)).map_err(source_error)
    }
}
