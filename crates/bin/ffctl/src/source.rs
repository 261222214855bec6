//! Reading workflow files that may be anything: what is not a text of bearable size is refused
//! before it is read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flowforge_model::limits::BODY_BYTES;

use crate::exit::Failure;
use crate::paint::shown;

/// The text of a workflow file, or of standard input if `path` is `-`; at most 16 MiB of UTF-8.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    if path.as_os_str() == "-" {
        return text("standard input", &mut io::stdin().lock());
    }
    let name = shown(&path.display().to_string()).into_owned();
    let mut file = regular(path, &name)?;
    text(&name, &mut file)
}

/// Opens a regular file. A FIFO is opened without waiting for its other end, and refused then.
pub(crate) fn regular(path: &Path, name: &str) -> Result<File, Failure> {
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::usage(format!("{name}: there is no such file")),
        io::ErrorKind::PermissionDenied => {
            Failure::usage(format!("{name}: no permission to read it"))
        }
        _ => Failure::usage(format!("{name}: {error}")),
    };
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nonblocking);
    let file = options.open(path).map_err(|error| unreadable(&error))?;
    let kind = file.metadata().map_err(|error| unreadable(&error))?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    if kind.is_dir() {
        return Err(Failure::usage(format!("{name}: is a directory, not a file")));
    }
    let what = format!("{name}: is a pipe or a device, not a regular file");
    Err(Failure::usage(what).hint("pipe a document into `-` instead"))
}

fn text(name: &str, from: &mut dyn Read) -> Result<String, Failure> {
    let most = u64::try_from(BODY_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    if bytes.len() > BODY_BYTES {
        let what = format!("{name}: is larger than 16 MiB");
        return Err(Failure::usage(what).hint("many tasks come from loops, large data from files"));
    }
    if let Some(mark) = byte_order_mark(&bytes) {
        let what = format!("{name}: begins with the byte order mark of {mark}");
        return Err(Failure::usage(what).hint("save it as UTF-8 without a byte order mark"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!("{name}: is not UTF-8 text: byte {at} is wrong"))
    })
}

fn byte_order_mark(bytes: &[u8]) -> Option<&'static str> {
    [
        (&b"\xef\xbb\xbf"[..], "UTF-8"),
        (b"\xff\xfe\0\0", "UTF-32"),
        (b"\0\0\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ]
    .into_iter()
    .find_map(|(mark, name)| bytes.starts_with(mark).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn refused(path: &Path) -> String {
        let failure = read(path).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
        match failure {
            Failure::Told { message, .. } => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_regular_files_of_bearable_size_in_utf_8_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(read(&file("good", b"a: 1\r\n")).unwrap(), "a: 1\r\n");
        let large = vec![b'#'; BODY_BYTES + 1];
        assert!(read(&file("most", &large[1..])).is_ok());
        assert!(refused(&file("large", &large)).contains("16 MiB"));
        assert!(refused(&file("bom", b"\xef\xbb\xbfa: 1")).contains("byte order mark"));
        assert!(refused(&file("utf16", b"\xff\xfea\0")).contains("UTF-16"));
        assert!(refused(&file("latin1", b"a: \xe9")).contains("byte 3"));
        assert!(refused(dir.path()).contains("directory"));
        assert!(refused(Path::new("/dev/zero")).contains("device"));
        assert!(refused(&dir.path().join("none")).contains("no such file"));
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(refused(&fifo).contains("pipe"));
    }
}
