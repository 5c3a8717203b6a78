//! Acknowledged changes survive `kill -9`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use crate::running::Running;

#[test]
fn no_acknowledged_person_is_lost_when_the_site_is_killed_while_it_creates_1000() {
    for killed_after in [0, 50, 400] {
        let mut site = Running::new();
        let socket = UnixStream::connect(site.path("site/admin.sock")).unwrap();
        let mut writer = socket.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            for number in 0..1_000 {
                let line = format!(
                    "{{\"id\":{number},\"group\":\"person\",\"command\":\"create\",\"params\":{{\"name\":\"p{number}\"}}}}\n"
                );
                if writer.write_all(line.as_bytes()).is_err() {
                    break;
                }
            }
        });
        let (answered, answers) = mpsc::channel();
        let reading = std::thread::spawn(move || {
            let lines = BufReader::new(socket).lines();
            lines
                .map_while(Result::ok)
                .filter(|answer| answer.contains("\"code\":0"))
                .inspect(|_| {
                    // After this no client waits for a reply, and the site can be killed.
                    let _ = answered.send(());
                })
                .count()
        });
        assert_eq!(answers.iter().take(killed_after).count(), killed_after);
        site.kill();
        let acknowledged = reading.join().unwrap();
        sending.join().unwrap();

        site.start(&["--passphrase-file", "site.pass"]);
        if let Some(last) = acknowledged.checked_sub(1) {
            for number in (0..=last).step_by(25).chain([last]) {
                let name = format!("p{number}");
                assert_eq!(
                    site.run(&["person", "show", &name]).code,
                    0,
                    "{name} of {acknowledged}"
                );
            }
        }
        assert_eq!(site.run(&["audit", "verify"]).code, 0);
    }
}
