#include "artifacts/directory_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/sha256.h"
#include "base/thread.h"
#include "tests/testing/coro_test.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::RunCoro;
using testing::StatusIs;

constexpr char kHelloHash[] =
    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
constexpr char kEmptyHash[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

class ArtifactDirectoryTest : public ::testing::Test {
 protected:
  ~ArtifactDirectoryTest() override { fs::remove_all(dir_); }

  ArtifactDirectory Open() {
    absl::StatusOr<ArtifactDirectory> directory =
        ArtifactDirectory::Open(root_);
    EXPECT_THAT(directory, IsOk());
    return *std::move(directory);
  }

  static void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  static int Mode(const std::string& path) {
    struct stat stat {};
    EXPECT_EQ(::stat(path.c_str(), &stat), 0) << path;
    return static_cast<int>(stat.st_mode & 0777);
  }
  // As if it had been stored so long ago.
  void Age(const ArtifactDirectory& directory, const std::string& sha256,
           absl::Duration by) {
    const timespec at = absl::ToTimespec(RealClock().Now() - by);
    const timespec times[2] = {at, at};
    ASSERT_EQ(utimensat(AT_FDCWD, directory.PathOf(sha256)->c_str(), times, 0),
              0);
  }
  bool ScratchIsEmpty() const { return fs::is_empty(root_ + "/scratch"); }

  const fs::path dir_ = fs::path(::testing::TempDir()) /
                        ("midwatch-artifacts-" + RealRandom().Hex(8));
  const std::string root_ = (dir_ / "deep" / "root").string();
};

TEST(IsArtifactNameTest, TakesSixtyFourLowerCaseHexDigits) {
  EXPECT_TRUE(IsArtifactName(kHelloHash));
  const std::string hash = kHelloHash;
  for (const std::string& text :
       {std::string(), hash.substr(1), hash + "0", "A" + hash.substr(1),
        "g" + hash.substr(1), "/" + hash.substr(1), hash.substr(1) + '\0',
        "../" + hash.substr(3), std::string(64, '.')}) {
    EXPECT_FALSE(IsArtifactName(text)) << text;
  }
}

TEST_F(ArtifactDirectoryTest, OnlyTheOwnerMayLook) {
  Open();
  EXPECT_EQ(Mode(root_), 0700);
  EXPECT_EQ(Mode(root_ + "/scratch"), 0700);
}

TEST_F(ArtifactDirectoryTest, StoresBytesUnderTheirHash) {
  ArtifactDirectory directory = Open();
  EXPECT_EQ(directory.PutBytes("hello").value(), (ArtifactRef{kHelloHash, 5}));
  std::string path = directory.PathOf(kHelloHash).value();
  EXPECT_EQ(path, absl::StrCat(root_, "/2c/", kHelloHash + 2));
  EXPECT_EQ(Read(path), "hello");
  EXPECT_EQ(Mode(path), 0444);
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(ArtifactDirectoryTest, WhatIsOldAndUnusedIsRemoved) {
  ArtifactDirectory directory = Open();
  std::vector<std::string> names;
  for (const char* bytes : {"old", "used", "young", "stored", "kept"}) {
    names.push_back(directory.PutBytes(bytes)->sha256);
    if (bytes != std::string("young")) {
      Age(directory, names.back(), absl::Hours(48));
    }
  }
  ASSERT_THAT(directory.PutBytes("stored"), IsOk());
  ASSERT_THAT(directory.Keep(names[4]), IsOk());
  const absl::Time before = RealClock().Now() - absl::Hours(24);
  auto is_used = [&](absl::string_view sha256) { return sha256 == names[1]; };
  EXPECT_EQ(*directory.RemoveUnused(before, is_used), 1);
  EXPECT_THAT(directory.PathOf(names[0]),
              StatusIs(absl::StatusCode::kNotFound));
  for (size_t i = 1; i < names.size(); ++i) {
    EXPECT_THAT(directory.PathOf(names[i]), IsOk()) << i;
  }
  EXPECT_TRUE(ScratchIsEmpty());
  EXPECT_EQ(*directory.RemoveUnused(before, is_used), 0) << "said again";
  EXPECT_THAT(directory.Keep(names[0]), StatusIs(absl::StatusCode::kNotFound));
}

// Between the look at its age and its removal somebody was told that it is
// there.
TEST_F(ArtifactDirectoryTest, OneThatIsKeptAtTheLastMomentStays) {
  ArtifactDirectory directory = Open();
  const std::string name = directory.PutBytes("hello")->sha256;
  Age(directory, name, absl::Hours(48));
  const absl::Time before = RealClock().Now() - absl::Hours(24);
  EXPECT_EQ(*directory.RemoveUnused(before,
                                    [&](absl::string_view) {
                                      EXPECT_THAT(directory.Keep(name), IsOk());
                                      return false;
                                    }),
            0);
  EXPECT_EQ(Read(*directory.PathOf(name)), "hello");
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(ArtifactDirectoryTest, TheSameBytesAreStoredOnce) {
  ArtifactDirectory directory = Open();
  ASSERT_THAT(directory.PutBytes("hello"), IsOk());
  std::string path = directory.PathOf(kHelloHash).value();
  struct stat before {
  }, after{};
  ASSERT_EQ(stat(path.c_str(), &before), 0);

  Write((dir_ / "copy").string(), "hello");
  const std::string scratch = directory.ScratchPath();
  Write(scratch, "hello");
  EXPECT_EQ(directory.PutBytes("hello").value().sha256, kHelloHash);
  EXPECT_EQ(directory.PutFile((dir_ / "copy").string()).value().sha256,
            kHelloHash);
  EXPECT_EQ(directory.PutFile(scratch).value().sha256, kHelloHash);
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(ArtifactDirectoryTest, TheEmptyFileIsAnArtifactToo) {
  ArtifactDirectory directory = Open();
  EXPECT_EQ(directory.PutBytes("").value(), (ArtifactRef{kEmptyHash, 0}));
  EXPECT_EQ(Read(directory.PathOf(kEmptyHash).value()), "");
}

TEST_F(ArtifactDirectoryTest, FilesAreCopied) {
  ArtifactDirectory directory = Open();
  std::string bytes(3 << 20, '\0');
  SeededRandom random(1);
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  const std::string path = (dir_ / "input").string();
  Write(path, bytes);
  absl::StatusOr<ArtifactRef> ref = directory.PutFile(path);
  ASSERT_THAT(ref, IsOk());
  EXPECT_EQ(ref->size_bytes, 3 << 20);
  EXPECT_EQ(ref->sha256, Sha256Hex(bytes));
  Write(path, "changed");
  EXPECT_EQ(Read(directory.PathOf(ref->sha256).value()), bytes);
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(ArtifactDirectoryTest, ScratchFilesAreMoved) {
  ArtifactDirectory directory = Open();
  const std::string scratch = directory.ScratchPath();
  EXPECT_NE(scratch, directory.ScratchPath());
  Write(scratch, "hello");
  struct stat before {
  }, after{};
  ASSERT_EQ(stat(scratch.c_str(), &before), 0);
  ASSERT_THAT(directory.PutFile(scratch), IsOk());
  EXPECT_FALSE(fs::exists(scratch));
  ASSERT_EQ(stat(directory.PathOf(kHelloHash).value().c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

// A path may say scratch/ and mean another place.
TEST_F(ArtifactDirectoryTest, OnlyFilesOfScratchItselfAreMoved) {
  ArtifactDirectory directory = Open();
  const std::string outside = (dir_ / "outside").string();
  Write(outside, "hello");
  const std::string link = directory.ScratchPath();
  fs::create_symlink(outside, link);
  for (const std::string& path : {root_ + "/scratch/../../../outside", link}) {
    ASSERT_THAT(directory.PutFile(path), IsOk());
    EXPECT_EQ(Read(outside), "hello");
    std::string stored = directory.PathOf(kHelloHash).value();
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(stored)));
    fs::remove(stored);
  }
}

TEST_F(ArtifactDirectoryTest, WhatIsNoFileIsRefused) {
  ArtifactDirectory directory = Open();
  EXPECT_THAT(directory.PutFile((dir_ / "none").string()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(directory.PutFile(dir_.string()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string fifo = (dir_ / "fifo").string();
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(directory.PutFile(fifo),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ArtifactDirectoryTest, UnknownAndImpossibleNames) {
  ArtifactDirectory directory = Open();
  EXPECT_THAT(directory.PathOf(kHelloHash),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(kHelloHash)));
  for (const char* name : {"", "../../../../etc/passwd", "2c/f24dba", "2c"}) {
    EXPECT_THAT(directory.PathOf(name),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
}

TEST_F(ArtifactDirectoryTest, ManyThreadsStoreTheSameBytes) {
  ArtifactDirectory directory = Open();
  constexpr int kThreads = 8;
  constexpr int kArtifacts = 20;
  std::vector<Thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back("put", [&directory] {
      for (int n = 0; n < kArtifacts; ++n) {
        std::string bytes = absl::StrCat("artifact ", n);
        absl::StatusOr<ArtifactRef> ref = directory.PutBytes(bytes);
        ASSERT_THAT(ref, IsOk());
        EXPECT_EQ(Read(directory.PathOf(ref->sha256).value()), bytes);
      }
    });
  }
  for (Thread& thread : threads) thread.Join();
  EXPECT_TRUE(ScratchIsEmpty());
}

TEST_F(ArtifactDirectoryTest, OpeningAgainKeepsArtifactsAndFreshScratch) {
  {
    ArtifactDirectory directory = Open();
    ASSERT_THAT(directory.PutBytes("hello"), IsOk());
    Write(root_ + "/scratch/fresh", "in use");
    Write(root_ + "/scratch/old", "left behind");
    timespec times[2] = {};
    times[0] = times[1] = absl::ToTimespec(RealClock().Now() - absl::Hours(25));
    ASSERT_EQ(utimensat(AT_FDCWD, (root_ + "/scratch/old").c_str(), times, 0),
              0);
  }
  absl::StatusOr<ArtifactDirectory> again =
      ArtifactDirectory::Open(root_ + "/");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->root(), root_);
  EXPECT_THAT(again->PathOf(kHelloHash), IsOk());
  EXPECT_TRUE(fs::exists(root_ + "/scratch/fresh"));
  EXPECT_FALSE(fs::exists(root_ + "/scratch/old"));
}

TEST_F(ArtifactDirectoryTest, OpenSaysWhatIsInTheWay) {
  fs::create_directories(dir_ / "deep");
  Write(root_, "a file");
  EXPECT_THAT(ArtifactDirectory::Open(root_).status(), ::testing::Not(IsOk()));
  EXPECT_THAT(std::string(ArtifactDirectory::Open(root_).status().message()),
              HasSubstr(root_));
}

TEST_F(ArtifactDirectoryTest, TheStoreWorksOnAPool) {
  RealExecutor executor("test");
  ThreadBlockingPool pool("test-pool", 2);
  std::unique_ptr<ArtifactStore> store =
      MakeDirectoryArtifactStore(Open(), pool, executor);
  using Ref = absl::StatusOr<ArtifactRef>;
  using Path = absl::StatusOr<std::string>;
  EXPECT_EQ(
      RunCoro<Ref>(executor, [&] { return store->PutBytes("hello"); }).value(),
      (ArtifactRef{kHelloHash, 5}));
  const std::string scratch = store->ScratchPath();
  Write(scratch, "");
  EXPECT_EQ(
      RunCoro<Ref>(executor, [&] { return store->PutFile(scratch); }).value(),
      (ArtifactRef{kEmptyHash, 0}));
  EXPECT_EQ(
      Read(RunCoro<Path>(executor, [&] { return store->LocalPath(kHelloHash); })
               .value()),
      "hello");
  EXPECT_THAT(RunCoro<Path>(executor, [&] { return store->LocalPath("../x"); }),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace midwatch
