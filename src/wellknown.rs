//! What monitoring reads over HTTP on loopback: `/healthz`, `/readyz`, `/metrics`. Beside it, on an address of its own, the
//! page on which a sender takes a message back.

mod take_back;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use take_back::{Pages, serve_pages};

/// Whether the daemon takes mail now; if not, the words say why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NotReady(String),
}

/// Where the answers come from. What is asked is the caller's: this door knows no room that could answer.
#[derive(Clone)]
pub struct Answers {
    pub ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `drain` is cancelled.
pub async fn serve(socket: TcpListener, answers: Answers, drain: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(answers);
    axum::serve(socket, router).with_graceful_shutdown(drain.cancelled_owned()).await
}

async fn readyz(State(answers): State<Answers>) -> (StatusCode, String) {
    match (answers.ready)() {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

async fn metrics(State(answers): State<Answers>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], (answers.metrics)())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn read(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn monitoring_is_told_whether_mail_is_taken() {
        let socket = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = socket.local_addr().unwrap();
        let answers = Answers {
            ready: Arc::new(|| Readiness::NotReady("the store is full".into())),
            metrics: Arc::new(|| "sealpost_jobs 3\n".into()),
        };
        let drain = CancellationToken::new();
        let server = tokio::spawn(serve(socket, answers, drain.clone()));
        assert!(read(address, "/healthz").await.ends_with("alive\n"));
        let ready = read(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("not ready: the store is full\n"), "{ready}");
        assert!(read(address, "/metrics").await.ends_with("sealpost_jobs 3\n"));
        drain.cancel();
        server.await.unwrap().unwrap();
    }
}
