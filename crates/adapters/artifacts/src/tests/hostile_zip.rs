//! Zips that somebody wrote to do harm, byte by byte.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::*;
use crate::archive::zip::ZipWriter;

/// One entry as its headers tell it.
struct Entry {
    name: &'static str,
    mode: u32,
    method: u16,
    flags: u16,
    content: Vec<u8>,
    size: u32,
    sum: u32,
}

fn stored(name: &'static str, mode: u32, content: &str) -> Entry {
    Entry {
        name,
        mode,
        method: 0,
        flags: 0,
        content: content.as_bytes().to_vec(),
        size: u32::try_from(content.len()).unwrap(),
        sum: crc32fast::hash(content.as_bytes()),
    }
}

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;

fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let at = u32::try_from(bytes.len()).unwrap();
        let mut both = Vec::new();
        both.extend(20_u16.to_le_bytes());
        both.extend(entry.flags.to_le_bytes());
        both.extend(entry.method.to_le_bytes());
        both.extend([0; 4]);
        both.extend(entry.sum.to_le_bytes());
        both.extend(u32::try_from(entry.content.len()).unwrap().to_le_bytes());
        both.extend(entry.size.to_le_bytes());
        both.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        both.extend([0; 2]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&both);
        bytes.extend(entry.name.as_bytes());
        bytes.extend(&entry.content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&both);
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let count = u16::try_from(entries.len()).unwrap();
    end(&bytes, &directory, count)
}

fn end(bytes: &[u8], directory: &[u8], count: u16) -> Vec<u8> {
    let mut zip = [bytes, directory, b"PK\x05\x06\0\0\0\0"].concat();
    zip.extend(count.to_le_bytes());
    zip.extend(count.to_le_bytes());
    zip.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    zip.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    zip.extend([0; 2]);
    zip
}

fn unpack(entries: &[Entry]) -> Result<String, String> {
    Bench::small().unpack(Archive::Zip, &zip(entries))
}

#[test]
fn what_is_harmless_is_unpacked() {
    let cases = [
        (vec![stored("a", FILE, "1")], "=1"),
        (vec![stored("d/", 0o040_755, ""), stored("d/a", FILE, "1")], "/ /a=1"),
        (vec![stored("a", FILE, "1"), stored("l", LINK, "a")], "/ /a=1 /l->a"),
        // Made where there are no modes.
        (vec![stored("a", 0, "1"), stored("b/c", 0, "2")], "/ /a=1 /b/ /b/c=2"),
        (vec![], "/"),
    ];
    for (entries, is) in cases {
        assert_eq!(unpack(&entries).as_deref(), Ok(is));
    }
}

#[test]
fn what_leads_out_or_is_no_file_is_refused_by_name() {
    let cases = [
        (vec![stored("../evil", FILE, "")], "the name \"../evil\" in it leads upwards"),
        (vec![stored("/evil", FILE, "")], "the name \"/evil\" in it is absolute"),
        (vec![stored("a\0b", FILE, "")], "the name \"a\\0b\" in it has a zero byte"),
        (
            vec![stored("l", LINK, "/etc"), stored("b", FILE, "")],
            "the link \"l\" in it leads out of it, to \"/etc\"",
        ),
        (
            vec![stored("l", LINK, "../.."), stored("l/evil", FILE, "")],
            "the link \"l\" in it leads out of it, to \"../..\"",
        ),
        (vec![stored("a", 0o020_644, "")], "\"a\" in it is a device, a pipe or a socket"),
        (vec![Entry { flags: 1, ..stored("a", FILE, "1") }], "\"a\" in it is encrypted"),
        (
            vec![Entry { method: 14, ..stored("a", FILE, "1") }],
            "\"a\" in it is packed by method 14: use stored or deflated",
        ),
        (
            vec![Entry { sum: 1, ..stored("a", FILE, "1") }],
            "the zip is damaged: the size or the sum of a file is wrong",
        ),
        (
            vec![Entry { size: 2, ..stored("a", FILE, "1") }],
            "the zip is damaged: a stored file has two sizes",
        ),
    ];
    for (entries, why) in cases {
        assert_eq!(unpack(&entries), Err(why.to_owned()));
    }
}

#[test]
fn sizes_that_lie_and_bombs_are_refused() {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(&vec![0; 512 * 1024]).unwrap();
    let content = packer.finish().unwrap();
    let sum = crc32fast::hash(&vec![0; 512 * 1024]);
    let bomb =
        |size| Entry { method: 8, size, sum, content: content.clone(), ..stored("a", FILE, "") };
    assert_eq!(
        unpack(&[bomb(512 * 1024)]),
        Err("it unpacks to more than 20 times its size: it looks like a bomb".to_owned())
    );
    let error = unpack(&[bomb(10)]).unwrap_err();
    assert_eq!(error, "the zip is damaged: a file is larger than it says");
    assert!(unpack(&[bomb(u32::MAX - 1)]).unwrap_err().starts_with("it unpacks to more than"));
}

#[test]
fn a_directory_that_lies_is_refused() {
    let good = zip(&[stored("a", FILE, "1")]);
    let directory = good.len() - 22 - 47;
    let (files, rest) = good.split_at(directory);
    let line = &rest[..47];
    let unpack = |bytes: &[u8]| Bench::small().unpack(Archive::Zip, bytes).unwrap_err();
    let none = "it is no zip, or its end is missing";
    assert_eq!(unpack(b"no zip"), none);
    assert_eq!(unpack(b""), none);
    assert_eq!(unpack(&good[..good.len() - 1]), none);
    let fewer = "the zip is damaged: its directory has fewer entries than it says";
    assert_eq!(unpack(&end(files, line, 2)), fewer);
    assert_eq!(unpack(&end(files, line, u16::MAX)), fewer);
    assert!(unpack(&end(files, &[0; 47], 1)).contains("an entry of its directory is missing"));
    let mut elsewhere = line.to_vec();
    elsewhere[42] = 7;
    let headless = "the zip is damaged: the header of a file is missing";
    assert_eq!(unpack(&end(files, &elsewhere, 1)), headless);
    let mut longer = line.to_vec();
    longer[20] = 200;
    longer[24] = 200;
    assert_eq!(unpack(&end(files, &longer, 1)), "the zip is damaged: a file lies outside of it");
    let mut many = Vec::new();
    for _ in 0..1001 {
        many.extend(line);
    }
    let error = unpack(&end(files, &many, 1001));
    assert!(error.starts_with("it has more than 1000 files"), "{error}");
}

/// The reader of somebody else takes what the writer writes.
#[test]
fn others_can_read_our_zips() {
    let mut zip = ZipWriter::new(Vec::new());
    zip.folder(b"d", 0o750).unwrap();
    zip.file(b"d/a", 0o640, &mut &b"content"[..]).unwrap();
    zip.link(b"d/l", b"a").unwrap();
    let bytes = zip.finish().unwrap();
    let bench = Bench::new();
    std::fs::write(bench.path("it.zip"), &bytes).unwrap();
    let check = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; \
                 print(*[(i.filename, oct(i.external_attr >> 16), z.read(i)) for i in z.infolist()])";
    let python = std::process::Command::new("python3")
        .args(["-c", check])
        .arg(bench.path("it.zip"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&python.stdout),
        "('d/', '0o40750', b'') ('d/a', '0o100640', b'content') ('d/l', '0o120777', b'a')\n",
        "{}",
        String::from_utf8_lossy(&python.stderr)
    );
}
