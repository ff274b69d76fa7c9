#include "cli/account_views.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/shell_words.h"
#include "cli/state_names.h"
#include "cli/table.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {

std::string AccountLine(const GlobalOptions& global,
                        const v1::Account& account) {
  std::string line = absl::StrCat("account ", OneLine(account.name()), " is ",
                                  NameOf(account.state()));
  if (account.state() == v1::ACCOUNT_STATE_OPEN) return line;
  if (!account.reason().empty()) {
    absl::StrAppend(&line, ": ", OneLine(account.reason()));
  }
  absl::StrAppend(&line, "; since ", FormatInstant(account.since()));
  if (account.has_until()) {
    absl::StrAppend(&line, ", until ", FormatInstant(account.until()));
  }
  if (account.has_next_probe()) {
    absl::StrAppend(&line, ", tried again at ",
                    FormatInstant(account.next_probe()));
  }
  absl::StrAppend(
      &line,
      account.state() == v1::ACCOUNT_STATE_REFUSED
          ? "; restart its worker with the right key, or `"
          : "; `",
      CommandLine(global, absl::StrCat("account resume ",
                                       Quoted(OneLine(account.name())))),
      account.state() == v1::ACCOUNT_STATE_PAUSED ? "` opens it"
                                                  : "` tries it now");
  return line;
}

std::string RatesLine(const v1::Account& account) {
  std::string line;
  for (const v1::RequestRate& rate : account.rates()) {
    if (rate.allowed_per_minute() == 0) continue;
    absl::StrAppendFormat(&line, "%s%s %d/%.0f", line.empty() ? "" : ", ",
                          NameOf(rate.request_class()), rate.accepted(),
                          rate.allowed_per_minute());
  }
  return line;
}

std::string RateTable(const v1::Account& account, int width) {
  if (account.rates().empty()) return "";
  auto number = [](double per_minute) {
    return per_minute == 0 ? "none" : absl::StrFormat("%.0f", per_minute);
  };
  std::vector<std::vector<std::string>> rows;
  for (const v1::RequestRate& rate : account.rates()) {
    rows.push_back(
        {NameOf(rate.request_class()), number(rate.limit_per_minute()),
         number(rate.allowed_per_minute()), absl::StrCat(rate.accepted()),
         absl::StrCat(rate.refused()), FormatInstant(rate.resting_until())});
  }
  return FormatTable({{"A MINUTE"},
                      {"LIMIT", true},
                      {"ALLOWED", true},
                      {"USED", true},
                      {"REFUSED", true},
                      {"RESTS UNTIL"}},
                     rows, width);
}

}  // namespace midwatch::cli
