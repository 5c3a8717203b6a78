//! Text of the page. What does not come from the page's own code is escaped.

/// HTML under construction.
#[derive(Default)]
pub(super) struct Markup(pub(super) String);

impl Markup {
    /// Adds HTML as it is.
    pub(super) fn html(&mut self, html: &str) {
        self.0.push_str(html);
    }

    /// Adds text.
    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
    }

    /// Adds text in which backticks mark code.
    pub(super) fn prose(&mut self, text: &str) {
        for (index, part) in text.split('`').enumerate() {
            match index % 2 {
                0 => self.text(part),
                _ => self.element("code", part),
            }
        }
    }

    /// Adds an element with text.
    pub(super) fn element(&mut self, name: &str, text: &str) {
        self.html(&format!("<{name}>"));
        self.text(text);
        self.html(&format!("</{name}>"));
    }

    /// Adds a link within the page.
    pub(super) fn link(&mut self, id: &str, text: &str) {
        self.html("<a href=\"#");
        self.text(id);
        self.html("\">");
        self.text(text);
        self.html("</a>");
    }

    /// Adds an element with an id and content.
    pub(super) fn with_id(&mut self, name: &str, id: &str, content: impl FnOnce(&mut Self)) {
        self.html(&format!("<{name} id=\""));
        self.text(id);
        self.html("\">");
        content(self);
        self.html(&format!("</{name}>\n"));
    }

    /// Adds an example, which a reader opens.
    pub(super) fn example(&mut self, title: &str, text: &str) {
        self.html("<details><summary>");
        self.text(title);
        // A reader moves to it with the keyboard and scrolls it.
        self.html("</summary><pre tabindex=\"0\">");
        self.element("code", text);
        self.html("</pre></details>\n");
    }

    /// Adds a table. Readers of narrow screens scroll it.
    pub(super) fn table(&mut self, heads: &[&str], rows: impl FnOnce(&mut Self)) {
        self.html("<div class=\"table\" tabindex=\"0\"><table><thead><tr>");
        for head in heads {
            self.html("<th scope=\"col\">");
            self.text(head);
            self.html("</th>");
        }
        self.html("</tr></thead><tbody>\n");
        rows(self);
        self.html("</tbody></table></div>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_operation_is_escaped() {
        let mut page = Markup::default();
        page.text("<a href=\"x\">&'");
        assert_eq!(page.0, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        let mut page = Markup::default();
        page.prose("see `a<b` <i>");
        assert_eq!(page.0, "see <code>a&lt;b</code> &lt;i&gt;");
    }
}
