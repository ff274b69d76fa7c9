#include "net/hook_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;

struct HookUrlCase {
  const char* name;
  const char* url;
  const char* refusal;  // "" where it is allowed
};
class HookUrlTest : public ::testing::TestWithParam<HookUrlCase> {};

TEST_P(HookUrlTest, MatchesTable) {
  const HookUrlCase& c = GetParam();
  const absl::Status status = CheckHookUrl(c.url, /*plain_http=*/false);
  if (*c.refusal == '\0') {
    EXPECT_OK(status);
  } else {
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.refusal));
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected https://"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, HookUrlTest,
    ::testing::ValuesIn<HookUrlCase>({
        {"Https", "https://example.com/hook?x=1", ""},
        {"HttpsWithPort", "https://example.com:8443", ""},
        {"Loopback", "http://127.0.0.1:9000/hook", ""},
        {"AnotherLoopback", "http://127.1.2.3/", ""},
        {"Loopback6", "http://[::1]:9000/hook", ""},
        {"Localhost", "http://localhost:9000/hook", ""},
        {"HttpElsewhere", "http://example.com/hook", "http without TLS"},
        {"LooksLikeLoopback", "http://127.0.0.1.example.com/", "without TLS"},
        {"LooksLikeLocalhost", "http://localhost.example.com/", "without TLS"},
        {"NoByte", "http://127.0.0.999/", "without TLS"},
        {"Private", "http://10.0.0.1/", "without TLS"},
        {"Metadata", "http://169.254.169.254/latest", "without TLS"},
        {"AnotherScheme", "file:///etc/passwd", "not http(s)"},
        {"NoScheme", "example.com/hook", "not http(s)"},
        {"Empty", "", "not http(s)"},
        {"NoHost", "https:///hook", "no host"},
        {"Backslash", "http://127.0.0.1\\@example.com/", "user or password"},
        {"Password", "https://me:secret@example.com/", "user or password"},
        {"Fragment", "https://example.com/#x", "fragment"},
        {"Space", "https://example.com/a b", "spaces"},
        {"NewLine", "https://example.com/\r\nx: y", "spaces"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(HookUrl, HttpElsewhereWhereTheSchedulerAllowsIt) {
  EXPECT_OK(CheckHookUrl("http://example.com/hook", /*plain_http=*/true));
  EXPECT_FALSE(CheckHookUrl("ftp://example.com/", /*plain_http=*/true).ok());
  EXPECT_FALSE(CheckHookUrl("https://x/" + std::string(2000, 'a'), true).ok());
}

TEST(HookUrl, Origins) {
  EXPECT_EQ(HookOrigin("https://Example.com:8443/a?b"),
            "https://example.com:8443");
}

}  // namespace
}  // namespace midwatch
