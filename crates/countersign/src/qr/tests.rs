//! An independent decoder reads each form of a code.

use rqrr::PreparedImage;

use super::*;

/// As long as a ticket's URI of a site with a long name.
const URI: &str = "COUNTERSIGN://DEVICES.LOGIN.EXAMPLE.ORG:4748/E/AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYUCULBOGAZDINRYHI6D4QCCIRDEQSSMJZIFEVCWLBNFYXTAMJSGM2DKNRXHA4TUOZ4";

/// The text in an image of which `is_dark` tells each pixel.
fn decoded(side: usize, is_dark: impl Fn(usize, usize) -> bool) -> String {
    let mut image = PreparedImage::prepare_from_bitmap(side, side, is_dark);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

#[test]
fn a_decoder_reads_the_code_in_the_terminal() {
    let text = QrCode::of(URI).unwrap().to_text(false);
    let rows: Vec<Vec<bool>> = text
        .lines()
        .flat_map(|line| {
            let upper = line.chars().map(|c| matches!(c, '▄' | ' ')).collect();
            let lower = line.chars().map(|c| matches!(c, '▀' | ' ')).collect();
            [upper, lower]
        })
        .collect();
    let side = rows[0].len();
    assert!(rows.len() / 2 < 24 && side < 80, "fits a small terminal");
    assert_eq!(decoded(side * 4, |x, y| rows[y / 4][x / 4]), URI);
    let colored = QrCode::of(URI).unwrap().to_text(true);
    let plain = colored.replace(COLORS.0, "").replace(COLORS.1, "");
    assert_eq!(plain, text);
}

#[test]
fn a_decoder_reads_the_png_image() {
    let image = QrCode::of(URI).unwrap().to_png().unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(image))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let side = info.width as usize;
    assert_eq!(decoded(side, |x, y| pixels[y * side + x] < 128), URI);
}

/// The image is read as rectangles, in their order.
#[test]
fn a_decoder_reads_the_svg_image() {
    let svg = QrCode::of(URI).unwrap().to_svg();
    let value = |tag: &str, name: &str| -> Option<String> {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let number = |tag: &str, name: &str| -> usize {
        value(tag, name).map_or(0, |number| number.parse().unwrap())
    };
    let view = value(&svg, "viewBox").unwrap();
    let side: usize = view.rsplit(' ').next().unwrap().parse().unwrap();
    let mut dark = vec![false; side * side];
    for tag in svg.split("<rect").skip(1) {
        let (left, top) = (number(tag, "x"), number(tag, "y"));
        for y in top..top + number(tag, "height") {
            let row = &mut dark[y * side + left..][..number(tag, "width")];
            row.fill(value(tag, "fill").unwrap() == "#000");
        }
    }
    assert_eq!(decoded(side * 4, |x, y| dark[y / 4 * side + x / 4]), URI);
}

#[test]
fn a_text_that_is_too_long_is_refused() {
    assert!(QrCode::of(&"A".repeat(5_000)).is_err());
}
