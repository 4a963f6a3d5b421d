//! The watcher over real directories. That something is told is waited for as long as it takes; that
//! nothing is told is never asked of a clock.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes, and shorter than the poll that tells without a reason.
const LONG: Duration = Duration::from_secs(20);

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A watch that has told what it tells at its beginning.
async fn watch(paths: &[&Path]) -> Watch {
    let mut watch = Watch::new(paths.iter().map(|path| path.to_path_buf()).collect());
    told(&mut watch).await;
    watch
}

async fn told(watch: &mut Watch) {
    timeout(LONG, watch.changed()).await.expect("a change is told");
}

/// Makes the two generations of a mounted ConfigMap, of which `..data` shows the first.
fn mounted(root: &Path, text: &str) {
    fs::create_dir(root.join("..2026_01")).unwrap();
    fs::write(root.join("..2026_01/weir.yaml"), text).unwrap();
    symlink("..2026_01", root.join("..data")).unwrap();
    symlink("..data/weir.yaml", root.join("weir.yaml")).unwrap();
}

/// What the kubelet does: a new directory, a new link, renamed over the old one, the old directory gone.
fn swap(root: &Path, text: &str) {
    fs::create_dir(root.join("..2026_02")).unwrap();
    fs::write(root.join("..2026_02/weir.yaml"), text).unwrap();
    symlink("..2026_02", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    fs::remove_dir_all(root.join("..2026_01")).unwrap();
}

#[tokio::test]
async fn a_file_that_is_written_renamed_over_deleted_or_made_anew_is_told() {
    let folder = folder();
    let path = folder.path().join("weir.yaml");
    fs::write(&path, "a").unwrap();
    let mut watch = watch(&[&path]).await;
    fs::write(&path, "b").unwrap();
    told(&mut watch).await;
    fs::write(folder.path().join("weir.yaml~"), "c").unwrap();
    fs::rename(folder.path().join("weir.yaml~"), &path).unwrap();
    told(&mut watch).await;
    fs::remove_file(&path).unwrap();
    told(&mut watch).await;
    fs::write(&path, "d").unwrap();
    told(&mut watch).await;
    // The watch is on what is there now, not on the file that there was.
    fs::write(&path, "e").unwrap();
    told(&mut watch).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_told_as_a_file_as_a_directory_and_through_its_link() {
    for watched in ["weir.yaml", "", "..data/weir.yaml"] {
        let folder = folder();
        mounted(folder.path(), "a");
        let path = folder.path().join(watched);
        let mut watch = watch(&[&path]).await;
        swap(folder.path(), "b");
        told(&mut watch).await;
        assert_eq!(fs::read_to_string(folder.path().join("weir.yaml")).unwrap(), "b");
        // The second swap is seen as well: the watch has followed the link.
        fs::rename(folder.path().join("..2026_02"), folder.path().join("..2026_01")).unwrap();
        fs::remove_file(folder.path().join("..data")).unwrap();
        symlink("..2026_01", folder.path().join("..data")).unwrap();
        told(&mut watch).await;
        swap(folder.path(), "c");
        told(&mut watch).await;
    }
}

#[tokio::test]
async fn a_directory_that_appears_later_is_told_step_by_step() {
    let folder = folder();
    let path = folder.path().join("etc/weir/keys/token");
    let mut watch = watch(&[&path]).await;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    told(&mut watch).await;
    fs::write(&path, "key").unwrap();
    told(&mut watch).await;
}

#[tokio::test]
async fn a_directory_of_links_is_told_when_a_file_behind_one_is_replaced() {
    let (folder, elsewhere) = (folder(), folder());
    let file = elsewhere.path().join("real.yaml");
    fs::write(&file, "a").unwrap();
    symlink(&file, folder.path().join("weir.yaml")).unwrap();
    let mut watch = watch(&[folder.path()]).await;
    fs::write(elsewhere.path().join("next"), "b").unwrap();
    fs::rename(elsewhere.path().join("next"), &file).unwrap();
    told(&mut watch).await;
}

#[tokio::test]
async fn a_constant_storm_does_not_put_off_what_is_told() {
    let folder = folder();
    let path = folder.path().join("weir.yaml");
    fs::write(&path, "0").unwrap();
    let mut watch = watch(&[&path]).await;
    let writer = async {
        for n in 0_u64.. {
            fs::write(&path, n.to_string()).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = told(&mut watch) => {}
        () = writer => unreachable!("it has no end"),
    }
}

#[tokio::test]
async fn nothing_is_lost_when_a_call_is_dropped() {
    let folder = folder();
    let path = folder.path().join("weir.yaml");
    fs::write(&path, "a").unwrap();
    let mut watch = watch(&[&path]).await;
    fs::write(&path, "b").unwrap();
    // Each call sees the event at most, and none has the time to tell it, unless the machine is slow.
    for _ in 0..5 {
        if timeout(QUIET / 50, watch.changed()).await.is_ok() {
            return;
        }
    }
    told(&mut watch).await;
}

#[tokio::test]
async fn other_paths_are_told_soon() {
    let folder = folder();
    let mut watch = watch(&[&folder.path().join("a")]).await;
    watch.set(vec![folder.path().join("b")]);
    told(&mut watch).await;
    fs::write(folder.path().join("b"), "b").unwrap();
    told(&mut watch).await;
}

#[test]
fn a_circle_of_links_ends_and_a_path_without_links_is_two_places() {
    let folder = folder();
    symlink("two", folder.path().join("one")).unwrap();
    symlink("one", folder.path().join("two")).unwrap();
    assert!(!places::places(&folder.path().join("one")).is_empty());
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("dir")).unwrap();
    assert_eq!(places::places(&root.join("dir")), [(root.clone(), Some("dir".into())), (root.join("dir"), None)]);
    assert_eq!(places::places(&root.join("no/where")), [(root.clone(), Some("no".into()))]);
}
