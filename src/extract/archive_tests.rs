//! Archives: what is read of them, and that none costs more than it may.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::extract::Budget;
use crate::extract::samples::{BUDGET, docx, look, look_within, paragraph, zip};

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(octets).unwrap();
    packed.finish().unwrap()
}

/// One member of a tar file: POSIX pax §"ustar Interchange Format".
fn tar(name: &str, octets: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 512];
    file[..name.len()].copy_from_slice(name.as_bytes());
    file[124..135].copy_from_slice(format!("{:011o}", octets.len()).as_bytes());
    file[257..263].copy_from_slice(b"ustar\0");
    file.extend_from_slice(octets);
    file.resize(file.len().next_multiple_of(512), 0);
    file
}

#[test]
fn each_file_of_an_archive_is_read_and_so_is_its_name() {
    let archive =
        zip(&[("visit/Quist.txt", b"seen today"), ("page.html", b"<p>blood <b>test</b></p>"), ("x.bin", b"\0\x01")]);
    let expected =
        ["1.name=visit/Quist.txt", "1=seen today", "2.name=page.html", "2=blood test", "3.name=x.bin", "3!NoReader"];
    assert_eq!(look(archive), expected);
}

#[test]
fn a_picture_in_an_archive_is_called_one() {
    assert_eq!(look(zip(&[("scan.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF")])), ["1.name=scan.jpg", "1!Scanned"]);
}

#[test]
fn what_is_packed_into_a_card_is_read_like_an_attachment() {
    let card =
        b"BEGIN:VCARD\nFN:Ann\nPHOTO;ENCODING=b:/9j/4AAQSkZJRg==\nATTACH;ENCODING=b:e1xydGYxIGFzdGhtYXN9\nEND:VCARD\n";
    let read = look(zip(&[("a.vcf", card)]));
    assert_eq!(read, ["1.name=a.vcf", "1=Full name: Ann\n\n", "1.file1!Scanned", "1.file2=asthmas"]);
}

#[test]
fn archives_lie_in_archives_up_to_a_depth() {
    let inner = zip(&[("a.docx", &docx(&paragraph("results"), &[]))]);
    let expected = ["1.name=b.zip", "1.1.name=a.docx", "1.1=results\n"];
    assert_eq!(look(zip(&[("b.zip", &inner)])), expected);

    let mut deep = zip(&[("a.txt", b"seen")]);
    for _ in 0..3 {
        deep = zip(&[("b.zip", &deep)]);
    }
    assert_eq!(look(deep).last().unwrap(), "1.1.1.1!TooDeep");
}

#[test]
fn tar_and_gzip_are_archives_too() {
    let archive = [tar("one.txt", b"seen"), tar("two.csv", b"a,b"), vec![0; 1024]].concat();
    let expected = ["1.1.name=one.txt", "1.1=seen", "1.2.name=two.csv", "1.2=a\tb\n"];
    assert_eq!(look(gzip(&archive)), expected);
    assert_eq!(look(gzip(b"words")), ["1=words"]);
    let cut = [tar("one.txt", &[b'a'; 2000])[..700].to_vec()].concat();
    assert_eq!(look(cut), ["1.name=one.txt", "1!Broken"]);
}

#[test]
fn a_message_in_an_archive_is_not_lost() {
    let read = look(zip(&[("a.eml", b"Subject: x\r\n\r\nseen\r\n")]));
    assert!(read.iter().any(|part| part.contains("seen")), "{read:?}");
}

#[test]
fn what_is_encrypted_says_so_and_has_a_name() {
    // Bit 0 of the flags in both headers (APPNOTE §4.4.4).
    let mut archive = zip(&[("quist.txt", b"seen today")]);
    let directory = memchr::memmem::find(&archive, b"PK\x01\x02").unwrap();
    archive[6] |= 1;
    archive[directory + 8] |= 1;
    assert_eq!(look(archive), ["1.name=quist.txt", "1!Encrypted"]);
}

#[test]
fn a_method_that_nobody_reads_is_no_broken_file() {
    let mut archive = zip(&[("a.txt", b"seen today")]);
    let directory = memchr::memmem::find(&archive, b"PK\x01\x02").unwrap();
    // 97: WavPack.
    archive[8] = 97;
    archive[directory + 10] = 97;
    assert_eq!(look(archive), ["1.name=a.txt", "1!NoReader"]);
}

#[test]
fn a_second_file_of_the_same_name_does_not_hide_the_first() {
    // Programs differ in which of the two they show.
    let mut archive = zip(&[("a.txt", b"seen today"), ("b.txt", b"nothing")]);
    while let Some(at) = memchr::memmem::find(&archive, b"b.txt") {
        archive[at] = b'a';
    }
    assert!(look(archive).contains(&"rest!Broken".to_owned()));
}

#[test]
fn an_archive_that_denies_its_files_is_broken() {
    // The counts of the last record (APPNOTE §4.3.16): other programs go by the directory, or look for the files.
    let mut archive = zip(&[("a.txt", b"seen today"), ("b.txt", b"nothing")]);
    let end = archive.len() - 22;
    for count in [1, 0] {
        (archive[end + 8], archive[end + 10]) = (count, count);
        assert!(look(archive.clone()).contains(&"rest!Broken".to_owned()), "{count}");
    }
    let nothing = archive[end..].to_vec();
    assert_eq!(look(nothing.clone()), ["!Broken"], "nothing in it");
    assert_eq!(look(zip(&[("b.zip", &nothing)])), ["1.name=b.zip", "1!Broken"], "nor in another one");
}

#[test]
fn what_stands_behind_the_end_of_a_tar_file_is_not_left_out() {
    let behind = [tar("one.txt", b"seen"), vec![0; 1024], b"and a list".to_vec()].concat();
    assert_eq!(look(behind), ["1.name=one.txt", "1=seen", "rest!Broken"]);
    let mut nameless = tar("", b"");
    assert_eq!(look(nameless.clone()), ["rest!Broken"], "nothing in it");
    nameless.extend(tar("one.txt", b"seen"));
    assert_eq!(look(nameless), ["rest!Broken"]);
}

#[test]
fn a_bomb_is_no_more_than_its_first_spark() {
    let bomb = zip(&[("a.txt", &vec![b' '; 6 << 20])]);
    assert_eq!(look_within(bomb.clone(), &Budget { ratio: 10, ..BUDGET }), ["1.name=a.txt", "1!RatioExceeded"]);
    let budget = Budget { ratio: 5000, bytes: 2 << 20, ..BUDGET };
    assert_eq!(look_within(bomb, &budget), ["1.name=a.txt", "1!TooLarge"]);
    let many: Vec<(String, Vec<u8>)> = (0..4).map(|at| (format!("{at}.bin"), vec![0; 1 << 20])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, octets)| (name.as_str(), octets.as_slice())).collect();
    assert_eq!(look_within(zip(&many), &budget).last().unwrap(), "4!TooLarge", "each is small, all are not");
    assert_eq!(look_within(gzip(&vec![0; 6 << 20]), &Budget { ratio: 10, ..BUDGET }), ["1!RatioExceeded"]);
}

#[test]
fn more_files_than_there_may_be_are_not_read() {
    let names: Vec<String> = (0..200).map(|at| format!("{at}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let read = look(zip(&files));
    assert_eq!(read.len(), 81, "a name and a text for each of 40");
    assert_eq!(read.last().unwrap(), "more!TooManyParts");
    let inner = zip(&files);
    let nested: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), inner.as_slice())).collect();
    assert!(look(zip(&nested)).len() <= BUDGET.most_parts());
}
