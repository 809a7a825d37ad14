//! Job files: whatever a researcher writes is read or refused with a line that is in the file.

use std::path::Path;

use client::{JobFile, JobFileError, SourceSpec};

/// Any text as a job file.
pub fn job_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = Path::new("folder/job.toml");
    match JobFile::parse(path, text) {
        Ok(file) => {
            assert_eq!(file.folder, Path::new("folder"));
            assert!(!file.stages.is_empty(), "a job without stages was read");
            for stage in &file.stages {
                if let SourceSpec::Range { block, .. } = stage.source {
                    assert_ne!(block, 0, "an empty block was read");
                }
            }
            let again = JobFile::parse(path, text);
            assert!(again.is_ok_and(|again| again == file), "read differently the second time");
        }
        Err(error @ JobFileError::Refused { line, .. }) => {
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {error}");
            assert!(!error.to_string().is_empty());
        }
        Err(JobFileError::Unreadable { .. }) => panic!("nothing was to be opened"),
    }
}
