//! What was measured at scale, as a table and as pictures.

use super::measure::Measured;
use crate::plot::{Axis, Plot, Point, Scale, Series};

const COLUMNS: &str = "| what | peers | units | level | participants | accepted, s | sealed, s | \
                       executions/unit | messages/unit | bytes/unit | messages/peer | KiB/peer | \
                       KiB/participant | CPU, s | memory, GiB | |";

/// The heading of [`Measured::row`]s, as Markdown.
pub fn heading() -> String {
    format!("{COLUMNS}\n|{}", "---|".repeat(16))
}

impl Measured {
    /// One line of the table.
    pub fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {:.0} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {} |",
            self.what,
            self.nodes,
            self.units,
            self.level,
            self.participants,
            self.accepted_s,
            self.sealed_s.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.0}")),
            self.executions_per_unit,
            self.messages_per_unit(),
            self.bytes_per_unit(),
            self.messages as f64 / self.nodes as f64,
            self.bytes as f64 / self.nodes as f64 / 1024.0,
            self.bytes as f64 / self.participants as f64 / 1024.0,
            self.took_s,
            self.memory_gib,
            self.remark,
        )
    }

    fn messages_per_unit(&self) -> f64 {
        self.messages as f64 / self.units as f64
    }

    fn bytes_per_unit(&self) -> f64 {
        self.bytes as f64 / self.units as f64
    }
}

/// What one unit costs everybody together, by the size of the network.
pub fn per_unit(rows: &[Measured]) -> Plot {
    plot(
        "What one unit costs, all peers together",
        rows,
        &[
            ("bytes per unit", |row| row.bytes_per_unit()),
            ("messages per unit", |row| row.messages_per_unit()),
            ("executions per unit", |row| row.executions_per_unit),
        ],
    )
}

/// What one job costs a peer, by the size of the network.
pub fn per_peer(rows: &[Measured]) -> Plot {
    plot(
        "What one job costs a peer",
        rows,
        &[
            ("KiB per participant", |row| row.bytes as f64 / row.participants as f64 / 1024.0),
            ("KiB per peer", |row| row.bytes as f64 / row.nodes as f64 / 1024.0),
            ("messages per peer", |row| row.messages as f64 / row.nodes as f64),
        ],
    )
}

type Number = fn(&Measured) -> f64;

fn plot(title: &str, rows: &[Measured], numbers: &[(&str, Number)]) -> Plot {
    let most = |number: &dyn Fn(&Measured) -> f64| rows.iter().map(number).fold(1.0, f64::max);
    let power = |value: f64| 10f64.powf(value.log10().ceil().max(1.0));
    let highest = numbers.iter().map(|(_, number)| most(number)).fold(1.0, f64::max);
    let least = |number: Number| rows.iter().map(number).fold(f64::MAX, f64::min);
    let lowest = numbers.iter().map(|(_, number)| least(*number)).fold(1.0, f64::min);
    let series = numbers.iter().map(|(name, number)| Series {
        name: (*name).to_owned(),
        points: rows.iter().map(|row| point(row, number(row))).collect(),
        is_joined: true,
    });
    let fewest = least(|row| row.nodes as f64).min(10.0);
    let axis =
        |title: &str, from, to| Axis { title: title.to_owned(), scale: Scale::Log, from, to };
    Plot {
        title: title.to_owned(),
        x: axis("peers of the network", fewest / 2.0, power(most(&|row| row.nodes as f64)) * 2.0),
        y: axis("", 10f64.powf(lowest.log10().floor()), power(highest)),
        series: series.collect(),
    }
}

fn point(row: &Measured, y: f64) -> Point {
    let label = if y < 10.0 { format!("{y:.2}") } else { format!("{y:.0}") };
    Point { x: row.nodes as f64, y, error: 0.0, label }
}

#[cfg(test)]
mod tests {
    use super::super::measure::{JobSize, one_job};
    use super::*;

    #[test]
    fn every_row_has_all_columns_and_every_picture_all_rows() {
        let size = JobSize { units: 200, batch: 16, unit_ms: 10 };
        let rows = [one_job(3, size, None, 1), one_job(5, size, None, 1)];
        let columns = |line: &str| line.matches('|').count();
        let heading = heading();
        for line in heading.lines().map(str::to_owned).chain(rows.iter().map(Measured::row)) {
            assert_eq!(columns(&line), columns(COLUMNS), "{line}");
        }
        for plot in [per_unit(&rows), per_peer(&rows)] {
            assert!(plot.series.iter().all(|series| series.points.len() == rows.len()));
            let lies = |axis: &Axis, value: f64| axis.from <= value && value <= axis.to;
            let mut points = plot.series.iter().flat_map(|series| &series.points);
            assert!(points.all(|point| lies(&plot.x, point.x) && lies(&plot.y, point.y)));
        }
    }
}
