#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A long step of the Makefile: says what runs, shows that it moves, keeps a log.
#
#   scripts/step.sh DESCRIPTION EXPECTED-TIME LOG-NAME COMMAND...
set -euo pipefail
. "$(dirname "$0")/lib.sh"
step "$@"
