//! `src/api`, with a stand-in for its connection: an answer is a status, a content type and a body.

#[path = "../../../src/api/certificate.rs"]
pub mod certificate;
#[path = "../../../src/api/discovery/mod.rs"]
pub mod discovery;
#[path = "../../../src/api/json.rs"]
pub mod json;
#[path = "../../../src/api/review.rs"]
pub mod review;
#[path = "../../../src/api/status.rs"]
pub mod status;
#[path = "../../../src/api/tls.rs"]
pub mod tls;
#[path = "../../../src/api/connection.rs"]
pub mod connection;
#[path = "../../../src/api/facts.rs"]
pub mod facts;

use std::io::{self, Cursor, Read};

use crate::failure::Failure;
use crate::token::Token;

pub const LARGEST_HEAD: usize = 32 * 1024;
pub const LARGEST_BODY: usize = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    pub accept: &'static str,
    pub post: Option<String>,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Request {
        Request { path: path.into(), accept: "application/json", post: None }
    }
}

pub struct Reply {
    status: u16,
    content_type: String,
    body: Cursor<Vec<u8>>,
    server: String,
}

impl Reply {
    pub fn of(status: u16, content_type: &str, body: &[u8]) -> Reply {
        let body = Cursor::new(body.to_vec());
        Reply { status, content_type: content_type.to_owned(), body, server: "server".to_owned() }
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        (name == "content-type").then_some(&self.content_type)
    }

    pub fn token(&self) -> Option<&Token> {
        Some(&crate::TOKEN)
    }

    pub fn reader(&mut self) -> impl Read + '_ {
        &mut self.body
    }

    pub fn take(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        Read::by_ref(&mut self.body).take(limit).read_to_end(&mut body).expect("bytes");
        Ok(body)
    }

    pub fn drain(self) -> Result<(), Failure> {
        Ok(())
    }
}

pub fn io_of_failure(failure: Failure) -> io::Error {
    io::Error::other(failure)
}

pub fn failure_of_io(error: io::Error, _server: &str) -> Failure {
    *error.into_inner().expect("a failure").downcast().expect("a failure")
}
