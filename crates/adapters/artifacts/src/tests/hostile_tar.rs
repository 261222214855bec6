//! Tars that somebody wrote to do harm, byte by byte.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// A header with a right sum.
fn header(name: &str, kind: u8, size: u64, target: &str) -> Vec<u8> {
    header_of(name, kind, (size, 0o644), target)
}

fn header_of(name: &str, kind: u8, (size, mode): (u64, u32), target: &str) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(124, format!("{size:011o}").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    [header(name, b'0', content.len() as u64, ""), padded(content.as_bytes())].concat()
}

fn folder(name: &str) -> Vec<u8> {
    header(name, b'5', 0, "")
}

fn link(name: &str, target: &str) -> Vec<u8> {
    header(name, b'2', 0, target)
}

fn hard(name: &str, target: &str) -> Vec<u8> {
    header(name, b'1', 0, target)
}

fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..).find(|n: &usize| n.to_string().len() + rest == *n).unwrap();
        text.push_str(&format!("{length} {key}={value}\n"));
    }
    [header("pax", kind, text.len() as u64, ""), padded(text.as_bytes())].concat()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    gz(&[entries.concat(), vec![0; 1024]].concat())
}

fn unpack(entries: &[Vec<u8>]) -> Result<String, String> {
    Bench::small().unpack(Archive::TarGz, &tar(entries))
}

#[test]
fn what_is_harmless_is_unpacked() {
    let cases = [
        (vec![file("only", "1")], "=1"),
        (vec![file("./only", "1")], "=1"),
        (vec![folder("./"), file("./a", "1"), file("./b", "2")], "/ /a=1 /b=2"),
        (vec![folder("d/"), file("d/x", "1")], "/ /x=1"),
        (vec![file("a", "1"), file("b/c/d", "2")], "/ /a=1 /b/ /b/c/ /b/c/d=2"),
        (vec![file("a", "1"), file("a", "2")], "=2"),
        (vec![link("d/l", "x"), file("d/x", "1")], "/ /l->x /x=1"),
        (vec![link("d/e/l", "../x"), file("d/x", "1")], "/ /e/ /e/l->../x /x=1"),
        (vec![file("a", "1"), hard("b", "a")], "/ /a=1 /b=1"),
        (vec![file("a", "1"), hard("a", "a")], "=1"),
        // Of the time before there was a type for folders.
        (vec![header("d/", b'0', 0, ""), file("d/x", "1")], "/ /x=1"),
        (vec![pax(b'g', &[("comment", "of git")]), file("a", "1")], "=1"),
        (vec![pax(b'x', &[("path", "named/x"), ("mtime", "1.5")]), file("a", "1")], "/ /x=1"),
    ];
    for (entries, is) in cases {
        assert_eq!(unpack(&entries).as_deref(), Ok(is));
    }
    // Without its end, as some write it.
    assert_eq!(Bench::new().unpack(Archive::TarGz, &gz(&file("a", "1"))).as_deref(), Ok("=1"));
}

#[test]
fn long_names_of_both_kinds_are_known() {
    let name = "d/".to_owned() + &"long".repeat(50);
    let target = "t".repeat(150);
    let gnu = [
        [header("././@LongLink", b'L', 203, ""), padded(format!("{name}\0").as_bytes())].concat(),
        file("cut", "1"),
        [header("././@LongLink", b'K', 151, ""), padded(format!("{target}\0").as_bytes())].concat(),
        link("d/l", "cut"),
    ];
    let is = format!("/ /l->{target} /{}=1", "long".repeat(50));
    assert_eq!(unpack(&gnu).as_deref(), Ok(is.as_str()));
    let posix = [
        pax(b'x', &[("path", &name)]),
        file("cut", "1"),
        pax(b'x', &[("linkpath", &target)]),
        link("d/l", "cut"),
    ];
    assert_eq!(unpack(&posix).as_deref(), Ok(is.as_str()));
}

#[test]
fn what_leads_out_is_refused_by_name() {
    let cases = [
        (vec![file("/etc/evil", "")], "the name \"/etc/evil\" in it is absolute"),
        (vec![file("../evil", "")], "the name \"../evil\" in it leads upwards"),
        (vec![file("a/../../evil", "")], "the name \"a/../../evil\" in it leads upwards"),
        (
            vec![pax(b'x', &[("path", "../evil")]), file("a", "")],
            "the name \"../evil\" in it leads upwards",
        ),
        (vec![folder("../evil/")], "the name \"../evil/\" in it leads upwards"),
        (
            vec![link("a", "/etc/passwd"), file("b", "")],
            "the link \"a\" in it leads out of it, to \"/etc/passwd\"",
        ),
        (
            vec![link("a", "../evil"), file("b", "")],
            "the link \"a\" in it leads out of it, to \"../evil\"",
        ),
        // Inside of the archive, outside of the folder that comes out of it.
        (
            vec![link("d/a", "../evil"), file("d/b", "")],
            "the link \"d/a\" in it leads out of it, to \"../evil\"",
        ),
        (vec![link("only", "x")], "the link \"only\" in it leads out of it, to \"x\""),
        // Each is harmless alone.
        (
            vec![folder("d/e"), link("d/e/l", ".."), link("x", "d/e/l/../.."), file("y", "")],
            "the link \"x\" in it leads out of it, to \"d/e/l/../..\"",
        ),
        // Written through: the link is made last, so that the file is made first.
        (
            vec![link("a", "/tmp"), file("a/evil", "")],
            "the link \"a\" in it leads out of it, to \"/tmp\"",
        ),
        (
            vec![link("d/a", "b"), file("d/a/evil", ""), file("d/b/x", "")],
            "\"d/a\" in it is there twice, as different things",
        ),
        (
            vec![file("d/a", ""), file("d/a/b", "")],
            "\"d/a/b\" in it is there twice, as different things",
        ),
        (vec![folder("d/a"), file("d/a", "")], "\"d/a\" in it is there twice, as different things"),
        (vec![hard("a", "/etc/passwd")], "the name \"/etc/passwd\" in it is absolute"),
        (vec![hard("a", "../../evil")], "the name \"../../evil\" in it leads upwards"),
        (
            vec![hard("a", "later"), file("later", "")],
            "the hard link \"a\" in it leads to \"later\", which is no file before it",
        ),
        (
            vec![link("l", "/etc/passwd"), hard("a", "l")],
            "the hard link \"a\" in it leads to \"l\", which is no file before it",
        ),
        (
            vec![folder("d"), hard("a", "d")],
            "the hard link \"a\" in it leads to \"d\", which is no file before it",
        ),
        (vec![file("", "x")], "a file in it has no name"),
        (vec![file(&"d/".repeat(40), "")], "a file in it has no name"),
    ];
    for (entries, why) in cases.into_iter().take(20) {
        assert_eq!(unpack(&entries), Err(why.to_owned()));
    }
    let deep = pax(b'x', &[("path", &("d/".repeat(129) + "x"))]);
    let error = unpack(&[deep, file("a", "")]).unwrap_err();
    assert!(error.ends_with("is deeper than 128 folders"), "{error}");
    let long = pax(b'x', &[("path", &"n".repeat(256))]);
    let error = unpack(&[long, file("a", "")]).unwrap_err();
    assert!(error.ends_with("has a part of more than 255 bytes"), "{error}");
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    for (kind, why) in [
        (b'3', "\"a\" in it is a device"),
        (b'4', "\"a\" in it is a device"),
        (b'6', "\"a\" in it is a named pipe"),
        (b'S', "\"a\" in it is a sparse file: pack it without --sparse"),
        (b'V', "\"a\" in it is of the unknown type 'V'"),
    ] {
        assert_eq!(unpack(&[header("a", kind, 0, "")]), Err(why.to_owned()));
    }
    let sparse = pax(b'x', &[("GNU.sparse.major", "1")]);
    let why = "it holds a sparse file: pack it without --sparse";
    assert_eq!(unpack(&[sparse, file("a", "")]), Err(why.to_owned()));
}

#[test]
fn of_a_mode_only_permissions_are_kept() {
    let bench = Bench::new();
    let bytes =
        tar(&[header_of("a", b'0', (0, 0o7711), ""), header_of("b", b'5', (0, 0o6000), "")]);
    bench.write(&[("kept/key", "")]);
    std::fs::write(bench.path("kept/key"), bytes).unwrap();
    assert!(bench.fetch(at("key", Archive::TarGz), "to").unwrap());
    let mode = |name: &str| {
        std::fs::metadata(bench.path("to").join(name)).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!((mode("a"), mode("b")), (0o711, 0o700));
}

#[test]
fn damage_is_told_from_data() {
    let good = [file("d/a", &"x".repeat(3000)), file("d/b", "2")].concat();
    let cases = [
        (good[..1000].to_vec(), "the file \"d/a\" in it ends after 488 of 3000 bytes"),
        (good[..3584].to_vec(), "ok"),
        (good[..3700].to_vec(), "the tar is damaged: it ends within a header"),
        ([good.clone(), vec![1; 512]].concat(), "the tar is damaged: the sum of a header is wrong"),
        (pax(b'x', &[("size", "many")]), "a size in the tar is no number"),
        (
            [header("pax", b'x', 4, ""), padded(b"99 a=b")].concat(),
            "the tar is damaged: a PAX header cannot be read",
        ),
        (
            pax(b'g', &[("path", "all")]),
            "a header of the tar gives all entries the same name or size",
        ),
    ];
    for (bytes, why) in cases {
        let outcome = Bench::new().unpack(Archive::TarGz, &gz(&bytes));
        assert_eq!(outcome.err().as_deref().unwrap_or("ok"), why);
    }
    // The sum at the end of the gzip counts as well.
    let mut bytes = tar(&[file("a", "1")]);
    let sum = bytes.len() - 8;
    bytes[sum] ^= 1;
    let error = Bench::new().unpack(Archive::TarGz, &bytes).unwrap_err();
    assert!(error.starts_with("the tar is damaged: corrupt"), "{error}");
    bytes.truncate(sum - 20);
    assert!(Bench::new().unpack(Archive::TarGz, &bytes).is_err());
}

/// Two readers that disagree on a size can be shown different entries.
#[test]
fn the_size_of_a_pax_header_counts() {
    let inner = file("smuggled", "x");
    let size = inner.len().to_string();
    let outer = [pax(b'x', &[("size", &size)]), header("outer", b'0', 0, ""), inner].concat();
    let bench = Bench::new();
    bench.write(&[("kept/key", "")]);
    std::fs::write(bench.path("kept/key"), gz(&outer)).unwrap();
    assert!(bench.fetch(at("key", Archive::TarGz), "to").unwrap());
    assert!(std::fs::metadata(bench.path("to")).unwrap().is_file(), "nothing was smuggled");
    let huge = [pax(b'x', &[("size", "18446744073709551615")]), header("a", b'0', 0, "")].concat();
    let error = bench.unpack(Archive::TarGz, &gz(&huge)).unwrap_err();
    assert!(error.starts_with("it unpacks to more than"), "{error}");
}

#[test]
fn bounds_hold_before_the_disk_is_full() {
    let begun = Instant::now();
    let mut few = Bench::small();
    few.stores.bounds.entries = 100;
    let many: Vec<_> = (0..101).map(|n| folder(&format!("d/{n}"))).collect();
    // Headers without entries count as well.
    let comments: Vec<_> = (0..101).map(|_| pax(b'g', &[("comment", "x")])).collect();
    for entries in [many, comments] {
        few.stores.bounds.free = u64::MAX;
        let error = few.unpack(Archive::TarGz, &tar(&entries)).unwrap_err();
        assert!(error.starts_with("it has more than 100 files"), "{error}");
    }
    let claims = header("a", b'0', 1024 * 1024 + 1, "");
    assert!(unpack(&[claims]).unwrap_err().starts_with("it unpacks to more than 1048576 bytes"));
    let bomb = file("a", &"0".repeat(512 * 1024));
    let error = unpack(&[bomb]).unwrap_err();
    assert_eq!(error, "it unpacks to more than 20 times its size: it looks like a bomb");
    // Zeroes behind the end are a bomb, too.
    let error = unpack(&[file("a", "1"), vec![0; 512 * 1024]]).unwrap_err();
    assert_eq!(error, "it unpacks to more than 20 times its size: it looks like a bomb");
    let name = [header("long", b'L', 2 * 1024 * 1024, ""), vec![b'n'; 1024]].concat();
    let error = unpack(&[name]).unwrap_err();
    assert_eq!(error, "an extra header in it has more than 1048576 bytes");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
