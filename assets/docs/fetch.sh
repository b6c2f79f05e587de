#!/usr/bin/env bash
# Makes what the documentation page takes from Swagger UI: fetches the npm package, checks it, and writes beside this
# script its bundle and its style, compressed, and its licences. The same version gives the same bytes.
#
# Another version: change VERSION and SHA256 (npm pack, sha256sum), run this, and change the version in page.html and
# in src/api/docs.rs. A test says where it was forgotten.
set -euo pipefail

VERSION=5.35.0
SHA256=1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm pack --silent "swagger-ui-dist@$VERSION" >/dev/null
echo "$SHA256  swagger-ui-dist-$VERSION.tgz" | sha256sum --check --quiet
tar -xzf "swagger-ui-dist-$VERSION.tgz"

rm -f "$here"/swagger-ui-*.gz
for kind in js css; do
  case $kind in js) from=swagger-ui-bundle.js ;; css) from=swagger-ui.css ;; esac
  # Maps for debuggers are not shipped, so nothing should ask for them.
  sed '/sourceMappingURL=/d' "package/$from" | gzip -9 --no-name >"$here/swagger-ui-$VERSION.$kind.gz"
done
cp package/LICENSE "$here/LICENSE.txt"
{ cat package/NOTICE && printf '\nThe bundle contains further works:\n\n' && cat package/swagger-ui-bundle.js.LICENSE.txt; } >"$here/NOTICE.txt"
ls -l "$here"
