#include "harness/shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "harness/tools.h"
#include "tests/harness/processes.h"
#include "tests/harness/shell_fixture.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::harness {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ShellTest, ProbeSucceedsHere) {
  EXPECT_OK(sandbox_->Probe(root_ + "/probe"));
}

TEST_F(ShellTest, OutputAndErrorsComeTogetherInOrder) {
  ShellResult result = Run("echo one; echo two >&2; echo three");
  EXPECT_EQ(result.output, "one\ntwo\nthree\n");
  EXPECT_EQ(result.exit_status, 0);
}

TEST_F(ShellTest, StateLastsFromCommandToCommand) {
  EXPECT_EQ(Run("x=5; f() { echo f$1; }; mkdir d; cd d").exit_status, 0);
  EXPECT_EQ(Run("pwd; echo $x; f 2").output, "/workspace/d\n5\nf2\n");
}

TEST_F(ShellTest, ExitStatusIsTheCommands) {
  EXPECT_EQ(Run("(exit 3)").exit_status, 3);
  EXPECT_EQ(Run("true").exit_status, 0);
  EXPECT_EQ(Run("if").exit_status, 2) << "a syntax error";
  EXPECT_EQ(Run("echo still here").output, "still here\n");
}

TEST_F(ShellTest, CommandsReadNothing) {
  EXPECT_EQ(Run("cat; echo $?").output, "0\n");
}

TEST_F(ShellTest, ExitEndsTheShellWithItsStatus) {
  ShellResult result = Run("echo bye; exit 4");
  EXPECT_EQ(result.exit_status, 4);
  EXPECT_EQ(result.output, "bye\n");
  EXPECT_FALSE(shell_->alive());
}

TEST_F(ShellTest, TimeoutKillsTheWholeProcessTree) {
  // Their own sessions, ignored signals, closed output: nothing helps them.
  const std::string marker = absl::StrCat("31", getpid(), "7");
  ShellCommand command;
  command.text = absl::StrCat(
      "setsid sleep ", marker, " & (trap '' TERM HUP; exec setsid sleep ",
      marker, " >/dev/null 2>&1) & echo started; sleep ", marker);
  command.timeout = absl::Seconds(2);
  ShellResult result = Run(command);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.output, "started\n");
  EXPECT_FALSE(shell_->alive());
  EXPECT_EQ(ProcessesWith(marker), 0);
}

TEST_F(ShellTest, BackgroundProcessesDieWithTheShell) {
  const std::string marker = absl::StrCat("32", getpid(), "7");
  Run(absl::StrCat(
      "setsid sleep ", marker,
      " & until [ \"$(cat /proc/$!/comm)\" = sleep ]; do :; done"));
  EXPECT_EQ(ProcessesWith(marker), 1);
  Close();
  EXPECT_EQ(ProcessesWith(marker), 0);
}

TEST_F(ShellTest, KillEndsACommandAtOnce) {
  ShellCommand command;
  command.text = "sleep 600";
  command.timeout = absl::Seconds(600);
  executor_.Post([&] {
    executor_.After(absl::Milliseconds(100), [&] { shell_->Kill(); });
  });
  ShellResult result = Run(command);
  EXPECT_FALSE(result.timed_out);
  EXPECT_NE(result.exit_status, 0);
  EXPECT_FALSE(shell_->alive());
}

TEST_F(ShellTest, OutputIsBoundedToItsEnd) {
  ShellCommand command;
  command.text = "seq 1 2000000; echo last";
  command.output_bytes_max = 1000;
  ShellResult result = Run(command);
  EXPECT_EQ(result.output.size(), 1000);
  EXPECT_GT(result.output_bytes, 10'000'000);
  EXPECT_THAT(result.output, HasSubstr("\n2000000\nlast\n"));
}

TEST_F(ShellTest, BytesAreKeptAsTheyAre) {
  EXPECT_EQ(Run("printf 'a\\0b\\377'").output, std::string("a\0b\xff", 4));
}

TEST_F(ShellTest, LongCommandsArrive) {
  std::string text(300'000, 'x');
  EXPECT_EQ(Run(absl::StrCat("a='", text, "'; echo ${#a}")).output, "300000\n");
}

// The sandbox.

TEST_F(ShellTest, ThereIsNoNetwork) {
  ShellResult result =
      Run("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '");
  EXPECT_EQ(result.output, "lo\n");
  result = Run("exec 7<>/dev/tcp/1.1.1.1/53");
  EXPECT_NE(result.exit_status, 0);
}

TEST_F(ShellTest, NothingOutsideCanBeRead) {
  std::ofstream(root_ + "/secret") << "secret";
  chmod((root_ + "/secret").c_str(), 0644);
  EXPECT_NE(Run(absl::StrCat("cat ", root_, "/secret")).exit_status, 0);
  for (const char* path :
       {"/etc/shadow", "/root", "/home", "/work", "/var", "/sys", "/run"}) {
    EXPECT_NE(Run(absl::StrCat("ls ", path)).exit_status, 0) << path;
  }
  EXPECT_THAT(Run("ls /tmp").output, "");
}

TEST_F(ShellTest, OnlyTheSessionsDirectoriesCanBeWritten) {
  for (const char* dir :
       {"/", "/usr", "/etc", "/mnt", "/mnt/session", "/mnt/session/uploads"}) {
    EXPECT_NE(Run(absl::StrCat("touch ", dir, "/x")).exit_status, 0) << dir;
  }
  for (const char* dir :
       {"/workspace", "/tmp", "/mnt/session/outputs", "/dev/shm"}) {
    EXPECT_EQ(Run(absl::StrCat("touch ", dir, "/x")).output, "") << dir;
  }
  EXPECT_TRUE(fs::exists(WorkspaceDir(dir_) + "/x"));
  EXPECT_TRUE(fs::exists(OutputsDir(dir_) + "/x"));
}

TEST_F(ShellTest, FilesAreNeverHostRoots) {
  Run("touch /workspace/mine");
  struct stat info;
  ASSERT_EQ(stat((WorkspaceDir(dir_) + "/mine").c_str(), &info), 0);
  EXPECT_NE(info.st_uid, 0u);
  if (geteuid() == 0) {
    EXPECT_EQ(info.st_uid, 200'007u);
  }
  EXPECT_EQ(Run("id -u").output, "1000\n");
  EXPECT_EQ(Run("id -un").output, "user\n");
}

TEST_F(ShellTest, NoCapabilitiesNoNewNamespacesNoTracing) {
  EXPECT_THAT(Run("grep -E 'CapEff|CapBnd|Seccomp:' /proc/self/status").output,
              "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
              "Seccomp:\t2\n");
  EXPECT_NE(Run("unshare -U true").exit_status, 0);
  EXPECT_NE(Run("mount -t tmpfs x /tmp").exit_status, 0);
}

TEST_F(ShellTest, OtherProcessesAreOutOfSight) {
  // bubblewrap's init, bash, and ls.
  EXPECT_EQ(Run("ls -d /proc/[0-9]* | wc -l").output.size(), 2u);
}

TEST_F(ShellTest, TheHarnessesEnvironmentAndFilesStayOut) {
  setenv("MIDWATCH_TEST_SECRET", "hunter2", 1);
  Open(SandboxOptions());
  EXPECT_THAT(Run("env; cat /proc/1/environ").output,
              Not(HasSubstr("hunter2")));
  // What the shell talks to the harness with is not the command's.
  EXPECT_EQ(Run("bash -c 'for ((i = 3; i < 250; ++i)); do "
                "[ -e /proc/$$/fd/$i ] && echo $i; done'")
                .output,
            "");
}

TEST_F(ShellTest, FilesHaveALimit) {
  SandboxOptions options;
  options.limits.file_bytes = 1 << 20;
  Open(options);
  EXPECT_NE(Run("head -c 2M /dev/zero > big").exit_status, 0);
  EXPECT_EQ(fs::file_size(WorkspaceDir(dir_) + "/big"), 1u << 20);
}

TEST_F(ShellTest, MemoryHasALimit) {
  SandboxOptions options;
  options.limits.address_space_bytes = 512 << 20;
  Open(options);
  EXPECT_NE(Run("head -c 1G /dev/zero | tail -c 1G | wc -c; "
                "exit ${PIPESTATUS[1]}")
                .exit_status,
            0);
}

TEST_F(ShellTest, ProcessesHaveALimit) {
  if (geteuid() != 0) GTEST_SKIP() << "kept only by a root harness";
  SandboxOptions options;
  options.limits.processes = 20;
  Open(options);
  ShellCommand command;
  command.text = "for i in $(seq 50); do sleep 100 & done; jobs -p | wc -l";
  command.timeout = absl::Seconds(5);
  EXPECT_THAT(Run(command).output, HasSubstr("Resource temporarily"));
}

TEST_F(ShellTest, UnsafeModeRunsInTheWorkspace) {
  SandboxOptions options;
  options.unsafe_none = true;
  Open(options);
  EXPECT_EQ(Run("pwd").output, WorkspaceDir(dir_) + "\n");
  EXPECT_EQ(Run("cd \"$SESSION_OUTPUTS_DIR\"; pwd").output,
            OutputsDir(dir_) + "\n");
  EXPECT_EQ(Run("exit 5").exit_status, 5);
}

}  // namespace
}  // namespace midwatch::harness
