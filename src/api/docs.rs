//! `GET /openapi.json`, and the page at `/docs` that shows it: everything comes from this server, nothing from the
//! internet. `assets/docs/fetch.sh` tells where the files come from.

use std::sync::LazyLock;

use hyper::header::HeaderMap;

use super::asset::{Asset, Caching};
use super::openapi;
use super::problem::{Code, Problem};
use super::respond::Answer;

/// How a file of the page is kept in the binary.
enum Kept {
    /// Our own, as it is.
    Plain(&'static str),
    /// Of a version that its name tells, compressed.
    Compressed(&'static [u8]),
}

struct File {
    name: &'static str,
    media_type: &'static str,
    kept: Kept,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Everything below `/docs/`.
const FILES: [File; 6] = [
    File {
        name: "page.js",
        media_type: SCRIPT,
        kept: Kept::Plain(include_str!("../../assets/docs/page.js")),
    },
    File {
        name: "page.css",
        media_type: STYLE,
        kept: Kept::Plain(include_str!("../../assets/docs/page.css")),
    },
    File {
        name: "swagger-ui-5.35.0.js",
        media_type: SCRIPT,
        kept: Kept::Compressed(include_bytes!("../../assets/docs/swagger-ui-5.35.0.js.gz")),
    },
    File {
        name: "swagger-ui-5.35.0.css",
        media_type: STYLE,
        kept: Kept::Compressed(include_bytes!("../../assets/docs/swagger-ui-5.35.0.css.gz")),
    },
    File {
        name: "LICENSE.txt",
        media_type: PLAIN,
        kept: Kept::Plain(include_str!("../../assets/docs/LICENSE.txt")),
    },
    File {
        name: "NOTICE.txt",
        media_type: PLAIN,
        kept: Kept::Plain(include_str!("../../assets/docs/NOTICE.txt")),
    },
];

const PAGE: &str = include_str!("../../assets/docs/page.html");

/// What is served, compressed.
struct Served {
    description: Asset,
    page: Asset,
    files: [Asset; FILES.len()],
}

static SERVED: LazyLock<Served> = LazyLock::new(|| Served {
    description: Asset::plain("application/json", &openapi::text()),
    page: Asset::plain("text/html; charset=utf-8", PAGE),
    files: FILES.map(|file| match file.kept {
        Kept::Plain(text) => Asset::plain(file.media_type, text),
        Kept::Compressed(bytes) => Asset::compressed(file.media_type, Caching::Immutable, bytes),
    }),
});

/// Makes what is served. At the start, so that no request waits for it.
pub fn prepare() {
    LazyLock::force(&SERVED);
}

/// `GET /openapi.json`
pub fn description(headers: &HeaderMap) -> Answer {
    Ok(SERVED.description.respond(headers))
}

/// `GET /docs`
pub fn page(headers: &HeaderMap) -> Answer {
    Ok(SERVED.page.respond(headers))
}

/// `GET /docs/{file}`
pub fn file(name: &str, headers: &HeaderMap) -> Answer {
    let position = file_names().position(|known| known == name);
    let index = position.ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            format!("the documentation has no file {name}"),
        )
    })?;
    Ok(SERVED.files[index].respond(headers))
}

/// The names of the files below `/docs/`.
pub fn file_names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.name)
}

/// The media types of the files below `/docs/`, each once.
pub fn media_types() -> [&'static str; 3] {
    [SCRIPT, STYLE, PLAIN]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_refers_to_files_that_there_are_and_to_nothing_else() {
        let mut found = 0;
        for attribute in ["src=\"", "href=\""] {
            for rest in PAGE.split(attribute).skip(1) {
                let target = rest.split('"').next().unwrap();
                let file = target.strip_prefix("docs/");
                let is_known = file.is_some_and(|name| file_names().any(|known| known == name));
                assert!(
                    is_known || ["openapi.json", "data:,"].contains(&target),
                    "{target}"
                );
                found += 1;
            }
        }
        assert!(found >= FILES.len());
        assert!(!PAGE.contains("<style") && !PAGE.contains("style=") && !PAGE.contains("<script>"));
    }

    #[test]
    fn the_names_and_the_page_tell_the_version_that_is_fetched() {
        let script = include_str!("../../assets/docs/fetch.sh");
        let version = script
            .lines()
            .find_map(|line| line.strip_prefix("VERSION="))
            .unwrap();
        for kind in ["js", "css"] {
            let name = format!("swagger-ui-{version}.{kind}");
            assert!(file_names().any(|known| known == name), "{name}");
        }
        assert!(PAGE.contains(&format!("Swagger UI {version}")));
        assert!(SERVED.files[2].text().contains("SwaggerUIBundle"));
        assert!(SERVED.files[3].text().contains(".swagger-ui"));
    }
}
