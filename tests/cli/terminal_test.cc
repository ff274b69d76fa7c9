// What a terminal that is resized is sent, byte by byte.
#include "cli/terminal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

namespace midwatch::cli {
namespace {

constexpr char kBegin[] = "\x1b[?25l\x1b[?7l\r";
constexpr char kEnd[] = "\x1b[?7h\x1b[?25h";

// Standard output is a pseudo-terminal of our own while it lives.
class TerminalTest : public ::testing::Test {
 protected:
  TerminalTest() {
    setenv("TERM", "xterm", 1);
    termios raw = {};
    cfmakeraw(&raw);
    winsize size = Size(100, 10);
    int slave = -1;
    EXPECT_EQ(openpty(&master_, &slave, nullptr, &raw, &size), 0);
    fcntl(master_, F_SETFL, O_NONBLOCK);
    std::fflush(stdout);
    before_ = dup(STDOUT_FILENO);
    dup2(slave, STDOUT_FILENO);
    close(slave);
    terminal_ = std::make_unique<Terminal>();
  }
  ~TerminalTest() override {
    terminal_.reset();
    dup2(before_, STDOUT_FILENO);
    close(before_);
    close(master_);
  }

  static winsize Size(int columns, int rows) {
    winsize size = {};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = static_cast<unsigned short>(rows);
    return size;
  }
  void Resize(int columns, int rows) {
    const winsize size = Size(columns, rows);
    ASSERT_EQ(ioctl(master_, TIOCSWINSZ, &size), 0);
  }
  // What came since the last call. The kernel brings it over in its own time,
  // so it is read up to a mark behind it.
  std::string Written() {
    std::string bytes;
    EXPECT_EQ(write(STDOUT_FILENO, "\0", 1), 1);
    while (bytes.empty() || bytes.back() != '\0') {
      pollfd readable = {master_, POLLIN, 0};
      if (poll(&readable, 1, /*milliseconds=*/10'000) != 1) {
        ADD_FAILURE() << "nothing came";
        break;
      }
      char some[4096];
      const ssize_t size = read(master_, some, sizeof(some));
      if (size > 0) bytes.append(some, static_cast<size_t>(size));
    }
    if (!bytes.empty()) bytes.pop_back();
    return bytes;
  }

  int master_ = -1;
  int before_ = -1;
  std::unique_ptr<Terminal> terminal_;
};

TEST_F(TerminalTest, TheCursorRestsAtTheFirstLine) {
  terminal_->SetLines({"one", "two", "three"});
  EXPECT_EQ(Written(), std::string(kBegin) +
                           "\x1b[2Kone\r\n\x1b[2Ktwo\r\n\r\x1b[Jthree\r"
                           "\x1b[2A" +
                           kEnd);
  terminal_->SetLines({"one", "two", "three"});
  EXPECT_EQ(Written(), "");
  terminal_->Print("said");
  EXPECT_EQ(Written(), std::string("\r\x1b[Jsaid\n") + kBegin +
                           "\x1b[2Kone\r\n\x1b[2Ktwo\r\n\r\x1b[Jthree\r"
                           "\x1b[2A" +
                           kEnd);
  terminal_->KeepLines();
  EXPECT_EQ(Written(), "\n\n\n");
}

TEST_F(TerminalTest, TheSameLinesAreWrittenAgainAtAnotherSize) {
  terminal_->SetLines({"one"});
  Written();
  EXPECT_FALSE(terminal_->resized());
  for (auto [columns, rows] : {std::pair(60, 10), std::pair(60, 5)}) {
    Resize(columns, rows);
    EXPECT_TRUE(terminal_->resized());
    terminal_->SetLines({"one"});
    EXPECT_EQ(Written(), std::string(kBegin) + "\r\x1b[Jone\r" + kEnd);
    EXPECT_FALSE(terminal_->resized());
  }
  terminal_->ClearLines();
  Resize(80, 10);
  EXPECT_FALSE(terminal_->resized());
}

// As many line feeds as the screen has rows push what is above out of it.
TEST_F(TerminalTest, NoMoreLinesAreWrittenAgainThanThereAreRows) {
  terminal_->SetLines({"1", "2", "3", "4", "5", "6"});
  Written();
  Resize(100, 3);
  terminal_->Print("said");
  EXPECT_EQ(Written(), std::string("\r\x1b[Jsaid\n") + kBegin +
                           "\x1b[2K1\r\n\x1b[2K2\r\n\r\x1b[J3\r\x1b[2A" + kEnd);
}

// Their rows are counted, and a terminal that broke them has others.
TEST_F(TerminalTest, LinesThatAreKeptAreWrittenForTheSizeThatIs) {
  terminal_->SetLines({"one", "two"});
  Written();
  Resize(2, 10);
  terminal_->KeepLines();
  EXPECT_EQ(Written(), std::string("\r\x1b[J") + kBegin +
                           "\x1b[2Kone\r\n\r\x1b[Jtwo\r\x1b[1A" + kEnd +
                           "\n\n");
}

}  // namespace
}  // namespace midwatch::cli
