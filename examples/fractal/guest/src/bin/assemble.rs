//! The guest `assemble`: puts tiles together, row by row of tiles, and writes one PNG.

use std::{
    env,
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use fractal::{Png, Ppm};

const USAGE: &str = "usage: assemble FOLDER-OF-TILES TILES-PER-SIDE PICTURE.png";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [tiles, per_side, picture] = args.as_slice() else { return usage() };
    let Some(per_side) = per_side.parse().ok().filter(|count| *count != 0) else { return usage() };
    match assemble(Path::new(tiles), per_side, Path::new(picture)) {
        Ok((width, height)) => {
            println!("{picture}: {width} x {height} pixels");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn assemble(tiles: &Path, per_side: usize, picture: &Path) -> io::Result<(usize, usize)> {
    // The numbers are padded with zeros, so the order of names is the order of tiles.
    let mut paths = fs::read_dir(tiles)
        .map_err(about(tiles))?
        .map(|entry| Ok(entry?.path().join("stdout")))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    if paths.is_empty() || paths.len() % per_side != 0 {
        let count = paths.len();
        return Err(io::Error::other(format!("{count} tiles do not make rows of {per_side}")));
    }
    let first = read(&paths[0])?;
    let (width, height) = (first.width * per_side, first.height * paths.len() / per_side);
    let file = BufWriter::new(File::create(picture).map_err(about(picture))?);
    let side = |pixels| u32::try_from(pixels).map_err(io::Error::other);
    let mut png = Png::start(file, side(width)?, side(height)?)?;
    for band in paths.chunks(per_side) {
        let mut rows = vec![0; width * 3 * first.height];
        for (column, path) in band.iter().enumerate() {
            let tile = read(path)?;
            if (tile.width, tile.height) != (first.width, first.height) {
                let path = path.display();
                return Err(io::Error::other(format!("{path} differs in size from the first")));
            }
            for (y, row) in tile.pixels.chunks_exact(tile.width * 3).enumerate() {
                let at = (y * width + column * tile.width) * 3;
                rows[at..at + row.len()].copy_from_slice(row);
            }
        }
        png.rows(&rows)?;
    }
    png.finish()?;
    Ok((width, height))
}

fn read(path: &Path) -> io::Result<Ppm> {
    let bytes = fs::read(path).map_err(about(path))?;
    Ppm::parse(&bytes)
        .ok_or_else(|| io::Error::other(format!("{} is not a PPM picture", path.display())))
}

/// Puts the path in front of an error that would not say which file it means.
fn about(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::other(format!("{}: {error}", path.display()))
}
