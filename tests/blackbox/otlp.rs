//! Metrics that are sent by OTLP: a receiver gets what the metrics port tells, and one that is out of order disturbs nobody.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use prost::Message;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;

use crate::client::{UPDATES, update, update_any};
use crate::http::Request;
use crate::metrics::Page;
use crate::server::{Builder, Server, eventually, free_port};

const EXPORTED: &str = r#"inventory_otlp_exports_total{outcome="exported"}"#;
const FAILED: &str = r#"inventory_otlp_exports_total{outcome="failed"}"#;
/// What differs from one reading to the next on a server that does nothing.
const RESTLESS: [&str; 4] = [
    "process_",
    "inventory_executor_",
    "inventory_otlp_",
    "inventory_data_free",
];

/// What a receiver says.
#[derive(Clone, Copy)]
enum Answer {
    Taken,
    Broken,
    /// Nothing, for as long as it is listened to.
    None,
}

/// A receiver on a port of its own.
struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

/// A request as it came.
#[derive(Clone)]
struct Received {
    head: String,
    export: ExportMetricsServiceRequest,
}

impl Receiver {
    fn start(answer: Answer) -> Receiver {
        Receiver::listen(move |stream, received| serve(stream, answer, received))
    }

    fn listen(
        serve: impl Fn(TcpStream, &Mutex<Vec<Received>>) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let received = Arc::default();
        let (serve, shared) = (Arc::new(serve), Arc::clone(&received));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, received) = (serve.clone(), Arc::clone(&shared));
                // It ends when the server closes the connection.
                thread::spawn(move || serve(stream, &received));
            }
        });
        Receiver { address, received }
    }

    fn builder(&self, interval_ms: u64) -> Builder {
        Builder::new()
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("http://{}", self.address),
            )
            .env("OTEL_METRIC_EXPORT_INTERVAL", interval_ms)
    }

    fn all(&self) -> Vec<Received> {
        self.received.lock().expect("no holder panics").clone()
    }
}

fn serve<S: Read + Write>(
    stream: S,
    answer: Answer,
    received: &Mutex<Vec<Received>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length
            .and_then(|length| length.parse().ok())
            .expect("a length");
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let export = ExportMetricsServiceRequest::decode(&*body).expect("it is an export");
        received
            .lock()
            .expect("no holder panics")
            .push(Received { head, export });
        let answer: &[u8] = match answer {
            Answer::Taken => b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
            Answer::Broken => b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\ndisk full",
            Answer::None => continue,
        };
        stream.get_mut().write_all(answer)?;
    }
}

/// The samples of an export, named as on the metrics port.
fn samples(received: &Received) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for metric in &received.export.resource_metrics[0].scope_metrics[0].metrics {
        let name = &metric.name;
        let (numbers, distributions) = match metric.data.clone().expect("data") {
            Data::Gauge(gauge) => (gauge.data_points, Vec::new()),
            Data::Sum(sum) => (sum.data_points, Vec::new()),
            Data::Histogram(histogram) => (Vec::new(), histogram.data_points),
            other => panic!("{other:?}"),
        };
        for point in numbers {
            let value = match point.value.expect("a value") {
                number_data_point::Value::AsInt(value) => value as f64,
                number_data_point::Value::AsDouble(value) => value,
            };
            samples.insert(key(name, &point.attributes, None), value);
        }
        for point in distributions {
            let of = |suffix: &str, le: Option<&str>| {
                key(&format!("{name}{suffix}"), &point.attributes, le)
            };
            samples.insert(of("_count", None), point.count as f64);
            samples.insert(of("_sum", None), point.sum.expect("a sum"));
            let bounds = point.explicit_bounds.iter().map(as_on_the_port);
            let bounds = bounds.chain(["+Inf".to_owned()]);
            let mut count = 0;
            for (bound, more) in bounds.zip(&point.bucket_counts) {
                count += more;
                samples.insert(of("_bucket", Some(&bound)), count as f64);
            }
        }
    }
    samples
}

fn key(name: &str, attributes: &[KeyValue], le: Option<&str>) -> String {
    let labels = attributes
        .iter()
        .map(|attribute| (&*attribute.key, text(attribute)));
    let le = le.map(|bound| ("le", bound.to_owned()));
    let labels: Vec<String> = le
        .into_iter()
        .chain(labels)
        .map(|(k, v)| format!("{k}=\"{v}\""))
        .collect();
    match labels.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", labels.join(",")),
    }
}

fn as_on_the_port(bound: &f64) -> String {
    match bound.fract() == 0.0 {
        true => format!("{bound}.0"),
        false => bound.to_string(),
    }
}

fn text(attribute: &KeyValue) -> String {
    match attribute.value.clone().and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn restful(samples: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let all = samples.into_iter();
    all.filter(|(name, _)| !RESTLESS.iter().any(|begin| name.starts_with(begin)))
        .collect()
}

fn make_traffic(server: &Server) {
    let mut client = server.client();
    client.create(&[("item", 100)]);
    for n in 0..20 {
        client.update_any("item", -1, &format!("key-{n}"));
    }
    let conflict = Request::new("POST", UPDATES).json(&update("item", -1, 1, "stale"));
    client.send(&conflict).expect(409);
    client.get("/v1/inventory/item").expect(200);
    client.get("/nowhere").expect(404);
    client
        .send(&Request::new("POST", UPDATES).json(&json!({})))
        .expect(400);
}

#[track_caller]
fn eventually_failed(server: &Server, count: f64) {
    eventually("exports fail", || {
        (Page::of(server).get(FAILED) >= count).then_some(())
    });
}

#[test]
fn a_receiver_gets_what_the_metrics_port_tells() {
    let receiver = Receiver::start(Answer::Taken);
    let server = receiver
        .builder(100)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20secret")
        .env("OTEL_RESOURCE_ATTRIBUTES", "region=north")
        .start();
    make_traffic(&server);
    let received = eventually("both tell the same", || {
        let told = restful(Page::of(&server).0);
        let last = receiver.all().pop()?;
        let sent = restful(samples(&last));
        (told == sent && told["inventory_version_conflicts_total"] == 1.0).then_some(last)
    });
    let sent = samples(&received);
    assert_eq!(
        20.0,
        sent[r#"inventory_updates_processed_total{store="store-s1"}"#]
    );
    assert!(Page::of(&server).get(EXPORTED) >= 1.0);
    assert_eq!(0.0, Page::of(&server).get(FAILED));

    assert!(
        received.head.starts_with("post /v1/metrics http/1.1\r\n"),
        "{}",
        received.head
    );
    for line in [
        "content-type: application/x-protobuf\r\n",
        "api-key: a secret\r\n",
    ] {
        assert!(received.head.contains(line), "{}", received.head);
    }
    let resource = received.export.resource_metrics[0]
        .resource
        .clone()
        .expect("a resource");
    let told: BTreeMap<_, _> = resource
        .attributes
        .iter()
        .map(|a| (&*a.key, text(a)))
        .collect();
    assert_eq!("central-inventory", told["service.name"]);
    assert_eq!("north", told["region"]);
    assert_eq!(env!("CARGO_PKG_VERSION"), told["service.version"]);
    assert_eq!(
        server.pid().as_raw_nonzero().to_string(),
        told["process.pid"]
    );
    assert!(told.contains_key("host.name") && told.contains_key("service.instance.id"));
    assert!(!server.stderr().contains("secret"));
}

#[test]
fn a_stop_sends_what_was_counted_until_then() {
    let receiver = Receiver::start(Answer::Taken);
    let server = receiver.builder(86_400_000).start();
    make_traffic(&server);
    let told = restful(Page::of(&server).0);
    server.stop();
    let [last] = &receiver.all()[..] else {
        panic!("{} exports", receiver.all().len());
    };
    let sent = samples(last);
    for name in [
        "inventory_version_conflicts_total",
        "inventory_events_published_total",
    ] {
        assert_eq!(told[name], sent[name], "{name}");
    }
    // Threads have ended by then, and what they used is still told.
    let used = sent
        .iter()
        .filter(|(name, _)| name.starts_with("inventory_executor_cpu_seconds_total"));
    let used: Vec<_> = used.collect();
    assert!(
        !used.is_empty() && used.iter().all(|(_, seconds)| **seconds > 0.0),
        "{used:?}"
    );
}

#[test]
fn a_receiver_that_breaks_refuses_or_hangs_disturbs_nobody() {
    let (broken, silent) = (
        Receiver::start(Answer::Broken),
        Receiver::start(Answer::None),
    );
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let cases = [
        (broken.builder(100), "status 500: disk full"),
        (
            silent.builder(100).env("OTEL_EXPORTER_OTLP_TIMEOUT", 100),
            "timeout",
        ),
        (
            Builder::new()
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", nobody)
                .env("OTEL_METRIC_EXPORT_INTERVAL", 100),
            "refused",
        ),
    ];
    for (builder, why) in cases {
        let server = builder.start();
        make_traffic(&server);
        eventually_failed(&server, 3.0);
        assert_eq!(0.0, Page::of(&server).get(EXPORTED));
        server.assert_working();
        let log = eventually("it is said", || {
            Some(server.stderr()).filter(|log| log.contains("could not be sent by OTLP"))
        });
        assert!(log.contains(why), "{why}: {log}");
        assert_eq!(1, log.matches("could not be sent by OTLP").count(), "{log}");
        server.stop();
    }
}

#[test]
fn a_receiver_that_hangs_keeps_no_stop_waiting() {
    let receiver = Receiver::start(Answer::None);
    let server = receiver
        .builder(100)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", 600_000)
        .start();
    let mut client = server.client();
    client.create(&[("item", 1)]);
    eventually("it is asked", || (!receiver.all().is_empty()).then_some(()));
    client
        .send(&Request::new("POST", UPDATES).json(&update_any("item", -1, "key")))
        .expect(200);
    drop(client);
    let start = Instant::now();
    server.stop();
    // Two seconds are allowed to the export, the rest is for a busy machine.
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(1, receiver.all().len(), "one request at a time");
}

#[test]
fn a_receiver_with_a_certificate_of_its_own_is_trusted_when_told_so() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.into())
        .expect("they belong together");
    let tls = Arc::new(tls);
    let receiver = Receiver::listen(move |stream, received| {
        let connection = ServerConnection::new(tls.clone()).expect("the configuration is sound");
        serve(
            StreamOwned::new(connection, stream),
            Answer::Taken,
            received,
        )
    });
    let endpoint = format!("https://localhost:{}", receiver.address.port());
    let builder = Builder::new()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 100);

    let stranger = builder.start();
    eventually_failed(&stranger, 1.0);
    assert!(receiver.all().is_empty());
    stranger.stop();

    let path = builder.directory().join("ca.pem");
    let missing = builder.env("OTEL_EXPORTER_OTLP_CERTIFICATE", path.display());
    let problem = missing.run(&[]).refused();
    assert!(
        problem.contains("OTEL_EXPORTER_OTLP_CERTIFICATE"),
        "{problem}"
    );
    std::fs::write(&path, cert.pem()).expect("it can be written");
    let server = missing.start();
    eventually("it is trusted", || {
        (Page::of(&server).get(EXPORTED) >= 1.0).then_some(())
    });
    assert!(!receiver.all().is_empty());
}

#[test]
fn a_protocol_that_is_not_spoken_stops_the_start() {
    let problem = Builder::new()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .run(&[])
        .refused();
    assert!(problem.contains("http/protobuf only"), "{problem}");
}
