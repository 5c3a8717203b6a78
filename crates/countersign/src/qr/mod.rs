//! QR codes (ISO/IEC 18004) as text for terminals, PNG and SVG.

use std::fmt::Write;

use fast_qr::{ECL, QRBuilder};

use crate::failure::{Exit, Failure};

/// The width of the margin in modules, as section 5.3.8 of the standard requires it.
const MARGIN: usize = 4;
/// Pixels of a module in an image.
const SCALE: usize = 8;
/// Black background and white text (ECMA-48), so that the code is not inverted in light terminals.
const COLORS: (&str, &str) = ("\u{1b}[40;97m", "\u{1b}[0m");

/// A QR code with its margin.
pub(crate) struct QrCode {
    size: usize,
    /// Which modules are dark, row by row.
    dark: Vec<bool>,
}

impl QrCode {
    /// The code of a text. The lowest level of error correction keeps it small enough for a terminal of 24
    /// lines.
    pub(crate) fn of(text: &str) -> Result<Self, Failure> {
        let code = QRBuilder::new(text).ecl(ECL::L).build();
        let code = code
            .map_err(|_| Failure::new(Exit::Failure, "qr", "the text is too long for a QR code"))?;
        let size = code.size + 2 * MARGIN;
        let module = |at: usize| {
            let (x, y) = (at % size, at / size);
            let inner = MARGIN..MARGIN + code.size;
            let module = (inner.contains(&x) && inner.contains(&y))
                .then(|| code.data.get((y - MARGIN) * code.size + x - MARGIN));
            module.flatten().is_some_and(|module| module.value())
        };
        let dark = (0..size * size).map(module).collect();
        Ok(Self { size, dark })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.size && self.dark.get(y * self.size + x).is_some_and(|dark| *dark)
    }

    /// Lines of text, each with two rows of modules. Light modules are blocks, which a terminal with a dark
    /// background shows in its light color. `colors` sets the colors for any terminal.
    pub(crate) fn to_text(&self, colors: bool) -> String {
        let (begin, end) = if colors { COLORS } else { ("", "") };
        let mut text = String::new();
        for y in (0..self.size).step_by(2) {
            text.push_str(begin);
            text.extend((0..self.size).map(|x| {
                // A row after the last is light, too.
                match (self.is_dark(x, y), self.is_dark(x, y + 1)) {
                    (false, false) => '█',
                    (false, true) => '▀',
                    (true, false) => '▄',
                    (true, true) => ' ',
                }
            }));
            text.push_str(end);
            text.push('\n');
        }
        text
    }

    /// A PNG image (ISO/IEC 15948), black and white.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>, Failure> {
        let failed = |error| Failure::new(Exit::Failure, "qr", error);
        let side = u32::try_from(self.size * SCALE).unwrap_or(u32::MAX);
        let mut image = Vec::new();
        let mut encoder = png::Encoder::new(&mut image, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        let side = self.size * SCALE;
        let pixels: Vec<u8> = (0..side * side)
            .map(|at| self.is_dark(at % side / SCALE, at / side / SCALE))
            .map(|dark| if dark { 0 } else { 255 })
            .collect();
        writer.write_image_data(&pixels).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(image)
    }

    /// An SVG image: a rectangle for each row of dark modules.
    pub(crate) fn to_svg(&self) -> String {
        let (size, side) = (self.size, self.size * SCALE);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{side}\" height=\"{side}\" \
             viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\n\
             <rect width=\"{size}\" height=\"{size}\" fill=\"#fff\"/>\n"
        );
        for y in 0..size {
            let mut x = 0;
            while x < size {
                let width = (x..size).take_while(|x| self.is_dark(*x, y)).count();
                if width > 0 {
                    let _ = writeln!(
                        svg,
                        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"1\" fill=\"#000\"/>"
                    );
                }
                x += width + 1;
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

#[cfg(test)]
mod tests;
