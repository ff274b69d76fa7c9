#ifndef MIDWATCH_TESTS_HARNESS_SHELL_FIXTURE_H_
#define MIDWATCH_TESTS_HARNESS_SHELL_FIXTURE_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/real_executor.h"
#include "harness/sandbox.h"
#include "harness/shell.h"
#include "tests/testing/coro_test.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::harness {

// One shell in a session's directory, driven from the test's thread.
class ShellTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/midwatch-shell-XXXXXX";
    root_ = mkdtemp(name);
    dir_ = root_ + "/session";
    // What the session may not see is behind a door that its user can open.
    chmod(root_.c_str(), 0755);
    Open(SandboxOptions());
  }

  void TearDown() override {
    Close();
    std::filesystem::remove_all(root_);
  }

  void Open(SandboxOptions options) {
    Close();
    sandbox_.emplace(options);
    ASSERT_OK(sandbox_->Prepare(dir_, 7));
    auto start = [&] { return Shell::Start(executor_, *sandbox_, dir_, 7); };
    auto shell = testing::RunCoro<absl::StatusOr<std::unique_ptr<Shell>>>(
        executor_, start);
    ASSERT_OK(shell);
    shell_ = *std::move(shell);
  }

  void Close() {
    RunOn(executor_, [&] { shell_.reset(); });
  }

  ShellResult Run(ShellCommand command) {
    auto run = [&] { return shell_->Run(command); };
    return testing::RunCoro<ShellResult>(executor_, run);
  }
  ShellResult Run(const std::string& text) {
    ShellCommand command;
    command.text = text;
    command.timeout = absl::Seconds(20);
    return Run(command);
  }

  RealExecutor executor_{"shell-test"};
  std::string root_;
  std::string dir_;
  std::optional<Sandbox> sandbox_;
  std::unique_ptr<Shell> shell_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_TESTS_HARNESS_SHELL_FIXTURE_H_
