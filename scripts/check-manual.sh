#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Checks the manual page with both of its formatters, mandoc and groff.
#
#   scripts/in-root.sh scripts/check-manual.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"

needs_root
page=$top/Documentation/rlo.4

# The build root has not all manual pages that this one refers to.
found=$(
	mandoc -T lint -W style "$page" 2>/dev/null | grep -v 'STYLE: referenced manual not found' || true
	groff -mdoc -ww -T utf8 "$page" 2>&1 >/dev/null
)
[ -z "$found" ] || die "the manual page is not right:
$found"
