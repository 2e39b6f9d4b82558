// SPDX-License-Identifier: GPL-2.0

//! Sends packets from one program's UMEM to another's, over AF_XDP sockets.
//!
//! What there is to learn from: [`xsk`] for the sockets and their rings, [`program`] for the
//! XDP program that processes share, [`traffic`] for loops that use them.

#![deny(unsafe_code)]

mod args;
mod bench;
mod check;
mod clock;
mod device;
mod frame;
mod pace;
mod program;
mod report;
mod run;
mod sender;
mod sequence;
mod traffic;
#[allow(unsafe_code)]
mod xsk;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match traffic::run(&cli.command) {
        Ok(report) => {
            if let Some(error) = &report.error {
                eprintln!("error: {error}");
            }
            println!(
                "{}",
                if cli.command.common().json {
                    report.json()
                } else {
                    report.text()
                }
            );
            if report.ok {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
