//! What a page shows, what it hides, and what hostile pages cost.

use super::*;

fn check(html: &str, expected: &str) {
    assert_eq!(read(html).seen, expected, "{html}");
}

#[test]
fn tags_go_and_words_stay() {
    check("<html><head><style>p{}</style></head><body><p>One <b>t</b>wo</p><p>three</p>", "One two\nthree");
    check("a<script>if (a<b) x()</script>b", "ab");
    check("a <!-- not > seen --> b", "a b");
    check("a<br>b<BR/>c<ul><li>d<li>e</ul>", "a\nb\nc\nd\ne");
    check("<pre>a  b\r\nc</pre>d", "a b\nc\nd");
}

#[test]
fn cells_are_a_tab_apart_and_rows_a_line() {
    check("<table><tr><td>MRN</td><td>12</td></tr><tr><td>x</td></tr></table>", "MRN\t12\nx");
    // As Word writes them, with a paragraph in each cell.
    check("<table><tr><td><p>MRN</p></td>\r\n<td><p>12</p></td></tr></table>", "MRN\t12");
    check("<table><tr><td><p>a</p><p>b</p></td><td><div>c</div></td></tr></table>", "a\nb\tc");
    check("<table><tr><td>a</td><td></td><td>c</td></tr><tr><td></td><td>b</td></tr></table>", "a\t\tc\n\tb");
    check("x<table><tr><td><table><tr><td>1</td><td>2</td></tr></table></td><td>3</td></tr></table>y", "x\n1\t2\n3\ny");
    check("<td>a<td>b", "a\tb");
}

#[test]
fn entities_are_read() {
    check("Tom &amp; Ana &#233; &#x41; &nosuch; &eacute; a&b", "Tom & Ana é A &nosuch; é a&b");
    check("R&D; é& a&nbsp;b &lt;p&gt;", "R&D; é& a b <p>");
}

#[test]
fn what_nobody_sees_does_not_part_a_number() {
    check("0048&shy;29&#8203;13 4\u{feff}2", "00482913 42");
}

#[test]
fn what_is_no_tag_is_text() {
    check("3 < 4 and <5", "3 < 4 and <5");
    check("<!-->seen<!-- -->", "seen");
    check("<!--->seen<!-- -->", "seen");
    check("<!-- x --!>seen<!-- y -->", "seen");
    check("<!-- x --->seen<!-- y ----->.", "seen.");
    check("<!-- never closed", "<!-- never closed");
    check("<p", "<p");
    check("<style>open", "open");
    check("<a title='x > y'>z</a>", "z");
    check("<a title='x>never closed, still seen", "never closed, still seen");
}

#[test]
fn what_is_not_drawn_is_kept_apart() {
    let page = read(
        "<p style='display:none'>for Ann <b>Quist</b></p>seen<!-- MRN <i>7</i> --><div hidden><div>x</div>y</div>z",
    );
    assert_eq!(page.seen, "seen\nz");
    assert_eq!(page.hidden, "for Ann Quist\nMRN 7\nx\ny");
    assert_eq!(read("<p hidden>a<p>b").seen, "b");
    assert_eq!(read("<img hidden>a").seen, "a");
    let card = read("<script type=\"application/ld+json\">{\"visit\": \"9:00\"}</script>see");
    assert_eq!((card.seen.as_str(), card.hidden.as_str()), ("see", "{\"visit\": \"9:00\"}"));
    assert_eq!(read("<!--[if mso]><td>Ann</td><![endif]-->").hidden, "Ann");
}

#[test]
fn what_a_page_carries_beside_its_words_is_kept_apart() {
    let page = read(
        "<a href='https://portal.example/?mrn=00482913'>open</a><a href='#top'>up</a><a href='https://portal.example/?mrn=00482913'>\
         <img src=cid:a alt='Chart of Ann &amp; Bo'><input value=\"asthma\" data-dob=1980-01-02><iframe srcdoc='<p>deep</p>'>",
    );
    assert_eq!(page.seen, "openup");
    assert_eq!(page.links, "https://portal.example/ mrn: 00482913\n");
    assert_eq!(page.said, "Chart of Ann & Bo\nasthma\ndob: 1980-01-02\ndeep\n");
    let page =
        read("<a href='data:text/html,<p>MRN 7</p>'>x</a><embed src='data:application/pdf;base64,JVBERi0AAQ=='>");
    assert!(page.said.contains("MRN 7"), "{}", page.said);
    assert_eq!(page.files, 1);
}

#[test]
fn hostile_pages_are_read_in_one_pass() {
    let started = std::time::Instant::now();
    for piece in [
        "<a",
        "<!--",
        "<style>",
        "<a b='",
        "<a b=\"'>",
        "<p hidden>",
        "<table><tr><td>",
        "</td></table>",
        "&",
        "&#",
        "<!",
        "<a =>",
        "<!-- <a b='-->",
        "<!-- -- -",
        "<script></script",
        "<pre>\n",
        "<a title='<>'>",
        "<a href=data:,>",
        "\u{200b}",
        "<a/////",
    ] {
        let page = piece.repeat(1_000_000 / piece.len());
        let read = read(&page);
        let all = read.seen.len() + read.hidden.len() + read.links.len() + read.said.len();
        assert!(all <= 2 * page.len(), "{piece}: {all}");
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn any_cut_of_a_page_is_read() {
    let page = "<table><tr><td style='display:none' title=\"é>\">a&eacute;<!-- x --!><td>ü&#8203;</td></tr></table><script>'</script>\
                <a href='data:text/html;base64,PHA+'>&#x1F600;</a><pre>\n&amp";
    let edges: Vec<usize> = (0..=page.len()).filter(|at| page.is_char_boundary(*at)).collect();
    for from in edges.iter().step_by(3) {
        for to in edges.iter().filter(|to| *to >= from) {
            let part = &page[*from..*to];
            assert!(read(part).seen.len() <= part.len(), "{part}");
        }
    }
}
