// SPDX-License-Identifier: GPL-2.0

//! Compiles the XDP program with Clang (`CLANG`, by default `clang-19`).

use std::{env, path::Path, process::Command};

fn main() {
    let source = "bpf/redirect.c";
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let object = Path::new(&out).join("redirect.o");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang-19".into());

    println!("cargo::rerun-if-changed={source}");
    println!("cargo::rerun-if-env-changed=CLANG");

    let mut command = Command::new(&clang);
    command.args([
        "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror",
    ]);
    // <asm/types.h> is there on Debian; Clang for BPF looks in /usr/include only.
    command.arg(format!("-I/usr/include/{}-linux-gnu", env::consts::ARCH));
    match command.args(["-c", source, "-o"]).arg(&object).status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{clang} could not compile {source} ({status})"),
        Err(error) => panic!("{clang} did not start: {error}. Name the compiler with CLANG="),
    }
}
