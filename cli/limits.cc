#include "cli/limits.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace midwatch::cli {
namespace {

constexpr double kPerMinuteMax = 1'000'000;
constexpr int kBurstMax = 10'000;

bool IsOnThisMachine(const std::string& url) {
  for (const char* host : {"127.", "localhost", "[::1]"}) {
    if (absl::StartsWith(url, absl::StrCat("http://", host)) ||
        absl::StartsWith(url, absl::StrCat("https://", host))) {
      return true;
    }
  }
  return false;
}

v1::AccountLimits Preset(double creates, double reads) {
  v1::AccountLimits limits;
  limits.mutable_create()->set_per_minute(creates);
  limits.mutable_read()->set_per_minute(reads);
  limits.mutable_files()->set_per_minute(500);
  return limits;
}

absl::Status BadLimit(const std::string& part) {
  return absl::InvalidArgumentError(absl::StrCat(
      part,
      ": expected documented, classic, none, or a list of create=N, write=N, "
      "read=N, files=N (requests a minute, more than 0) and burst=N, such as "
      "create=120,read=600"));
}

absl::Status SetPart(const std::string& part, int& burst,
                     v1::AccountLimits& limits) {
  const std::vector<std::string> sides = absl::StrSplit(part, '=');
  double number = 0;
  if (sides.size() != 2 || !absl::SimpleAtod(sides[1], &number)) {
    return BadLimit(part);
  }
  if (sides[0] == "burst") {
    if (!(number >= 1 && number <= kBurstMax)) return BadLimit(part);
    burst = static_cast<int>(number);
    return absl::OkStatus();
  }
  if (!(number > 0 && number <= kPerMinuteMax)) return BadLimit(part);
  if (sides[0] == "create") {
    limits.mutable_create()->set_per_minute(number);
  } else if (sides[0] == "write") {
    limits.mutable_write()->set_per_minute(number);
  } else if (sides[0] == "read") {
    limits.mutable_read()->set_per_minute(number);
  } else if (sides[0] == "files") {
    limits.mutable_files()->set_per_minute(number);
  } else {
    return BadLimit(part);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::AccountLimits> ReadList(const std::string& words) {
  v1::AccountLimits limits = Preset(300, 1200);
  int burst = 0;
  for (const auto& part : absl::StrSplit(words, ',')) {
    RETURN_IF_ERROR(SetPart(std::string(part), burst, limits));
  }
  limits.mutable_create()->set_burst(burst);
  if (limits.has_write()) limits.mutable_write()->set_burst(burst);
  limits.mutable_read()->set_burst(burst);
  limits.mutable_files()->set_burst(burst);
  return limits;
}

}  // namespace

absl::StatusOr<std::optional<v1::AccountLimits>> ReadLimits(
    absl::string_view option, const std::string& words,
    const std::string& base_url, const std::string& account,
    const std::string& limit_group) {
  v1::AccountLimits limits;
  if (words == "none" || (words.empty() && IsOnThisMachine(base_url))) {
    return std::nullopt;
  }
  if (words.empty() || words == "documented") {
    limits = Preset(300, 1200);
  } else if (words == "classic") {
    limits = Preset(60, 600);
  } else {
    absl::StatusOr<v1::AccountLimits> list = ReadList(words);
    if (!list.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(option, ": ", list.status().message()));
    }
    limits = *std::move(list);
  }
  limits.set_account(account);
  limits.set_limit_group(limit_group);
  return limits;
}

}  // namespace midwatch::cli
