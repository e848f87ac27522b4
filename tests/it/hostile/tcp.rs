//! TCP: below TLS, and the end of a connection.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use testbed::faults::{self, Listener, read_request};

use super::servers::{after_tls, reset};
use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row("refuses", 21, faults::refuses),
        row("never accepts", 23, faults::never_accepts),
        row("is silent", 23, faults::silent),
        row("resets as it accepts", 21, || faults::tcp_listener(|stream, _| reset(&stream))),
        row("resets when the client has spoken", 21, faults::resets),
        row("closes as it accepts", 21, || faults::tcp_listener(|stream, _| drop(stream))),
        row("closes when the client has spoken", 21, faults::closes),
        row("resets after the handshake", 21, || {
            after_tls(|stream, _| {
                reset(&stream.sock);
                Ok(())
            })
        }),
        row("resets after the request", 21, || resets_after("")),
        row("resets in the status line", 21, || resets_after("HTTP/1.1 20")),
        row("resets in the headers", 21, || resets_after("HTTP/1.1 200 OK\r\nContent-Ty")),
        row("resets in the body", 21, || {
            resets_after(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{\"ki",
            )
        }),
        row("closes after the handshake", 21, || after_tls(|_, _| Ok(()))),
        row("closes after the request", 21, faults::closes_after_request),
        row("ends the TCP stream without the end of TLS", 21, || {
            after_tls(|stream, hold| {
                read_request(stream)?;
                stream.sock.shutdown(Shutdown::Write)?;
                hold.until_dropped();
                Ok(())
            })
        }),
        row("ends its half before the handshake", 21, || {
            faults::tcp_listener(|stream, hold| {
                drop(stream.shutdown(Shutdown::Write));
                hold.until_dropped();
            })
        }),
        row("drips its part of the handshake", 23, || {
            faults::tcp_listener(|mut stream, hold| {
                // A record of 16 KiB, one byte at a time.
                let bytes = [0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc].into_iter().chain(std::iter::repeat(3));
                for byte in bytes {
                    if stream.write_all(&[byte]).is_err() || hold.pause(Duration::from_millis(20)) {
                        break;
                    }
                }
            })
        }),
        row("is silent after the handshake", 23, faults::silent_after_tls),
        row("stops after the status line", 23, faults::stops_after_status_line),
        row("drips its head", 23, || faults::drips_head(Duration::from_millis(20))),
        row("drips its body", 23, || faults::drips(Duration::from_millis(20))),
        row("drips a chunk size", 23, || {
            drips(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"0",
            )
        }),
        row("drips chunks", 23, || {
            drips(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"1\r\n \r\n",
            )
        }),
        row("never reads", 23, || {
            after_tls(|_, hold| {
                hold.until_dropped();
                Ok(())
            })
        })
        .asked(&["check", "create pods"]),
    ]
}

fn resets_after(text: &'static str) -> Listener {
    after_tls(move |stream, _| {
        read_request(stream)?;
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        reset(&stream.sock);
        Ok(())
    })
}

fn drips(begin: &'static str, piece: &'static [u8]) -> Listener {
    after_tls(move |stream, hold| {
        read_request(stream)?;
        stream.write_all(begin.as_bytes())?;
        loop {
            stream.write_all(piece)?;
            stream.flush()?;
            if hold.pause(Duration::from_millis(20)) {
                return Ok(());
            }
        }
    })
}
