#include "cli/service_check.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/sqlite.h"
#include "base/status_macros.h"
#include "cli/api_key.h"
#include "cli/scheduler_connection.h"
#include "cli/state_dir.h"
#include "store/dir_lock.h"
#include "store/file_identity.h"
#include "store/schema.h"
#include "worker/grpc_scheduler_client.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kDatabase[] = "database";
// Reading all of a larger one takes longer than one wants to wait here.
constexpr uintmax_t kQuickCheckBytesMax = uintmax_t{2} << 30;
constexpr absl::Duration kSchedulerConnectTimeout = absl::Seconds(5);
// The Date header has no fractions, and the answer was on its way.
constexpr absl::Duration kClockOffsetMax = absl::Seconds(5);

absl::StatusOr<std::string> OneText(SqliteStatement row) {
  if (row.Step()) return row.Text(0);
  return row.status().ok() ? absl::DataLossError("no answer") : row.status();
}

Finding CheckFile(const std::string& path, const SchemaSteps& steps) {
  const std::string name = fs::path(path).filename().string();
  const std::string restore =
      "stop what uses it, keep the file, and restore a copy";
  absl::StatusOr<std::unique_ptr<Sqlite>> db =
      Sqlite::Open(path, {.read_only = true, .cache_kib = 4 * 1024});
  if (!db.ok()) {
    return Problem(
        kDatabase,
        absl::StrCat(name, " does not open: ", db.status().message()), restore);
  }
  SqliteStatement row = (*db)->Query("PRAGMA user_version");
  const int64_t version = row.Step() ? row.Int(0) : -1;
  const int64_t newest = static_cast<int64_t>(steps.size());
  if (version < 0) {
    return Problem(
        kDatabase,
        absl::StrCat(name, " is not readable: ", row.status().message()),
        restore);
  }
  if (version > newest) {
    return Problem(kDatabase,
                   absl::StrCat(name, " has schema ", version,
                                ", this program knows ", newest),
                   "use the newer release that wrote it");
  }
  std::string says =
      absl::StrCat(name, " has schema ", version, " of ", newest);
  if (version < newest) says += " (the next start brings it up)";
  std::error_code error;
  if (fs::file_size(path, error) > kQuickCheckBytesMax) {
    return Warning(kDatabase, says + "; too large to be checked here",
                   absl::StrCat("sqlite3 ", path, " 'PRAGMA quick_check'"));
  }
  const absl::StatusOr<std::string> sound =
      OneText((*db)->Query("PRAGMA quick_check(1)"));
  if (sound.ok() && *sound == "ok")
    return Ok(kDatabase, says + ", and is sound");
  return Problem(
      kDatabase,
      absl::StrCat(name, " is damaged: ",
                   sound.ok() ? *sound : std::string(sound.status().message())),
      restore);
}

// A copy does not start, and is no problem where nobody wants it to.
bool IsCopy(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Sqlite>> db =
      Sqlite::Open(path, {.read_only = true, .cache_kib = 1024});
  if (!db.ok()) return false;
  absl::StatusOr<std::optional<FileIdentity>> known = IdentityIn(**db);
  absl::StatusOr<FileIdentity> found = IdentityOf(path);
  return known.ok() && known->has_value() && found.ok() &&
         !IsSameFile(**known, *found);
}

}  // namespace

Findings CheckDatabase(const std::string& state_dir) {
  const std::string queue = state_dir + "/queue.db";
  if (!fs::exists(queue)) {
    return {Ok(kDatabase, absl::StrCat("no queue in ", state_dir,
                                       " yet; the first run makes it"))};
  }
  Findings findings;
  // Given back at once: nobody's start shall fail because of a look.
  const absl::Status free = DirLock::Take(state_dir).status();
  findings.push_back(
      Ok(kDatabase, free.ok() ? "no process holds it"
                              : std::string(absl::StripSuffix(
                                    free.message(),
                                    "; stop it, or name another directory"))));
  findings.push_back(CheckFile(queue, QueueSchema()));
  if (IsCopy(queue)) {
    findings.push_back(
        Warning(kDatabase, "queue.db is a copy, and does not start as it is",
                "where nothing uses the original any more, start once with "
                "--moved; else use the original"));
  }
  findings.push_back(CheckFile(state_dir + "/events.db", EventsSchema()));
  return findings;
}

Finding CheckScheduler(const std::string& server,
                       const std::string& state_dir) {
  std::string address = server;
  if (address.empty()) {
    const std::string local = SocketAddress(state_dir);
    if (local.empty() || !IsServed(local)) {
      return Ok("scheduler",
                "none serves the state directory; commands open its files "
                "themselves");
    }
    address = local;
  }
  SchedulerConnection scheduler(MakeSchedulerChannel(address));
  if (!scheduler.WaitUntilConnected(kSchedulerConnectTimeout)) {
    return Problem("scheduler", absl::StrCat("nothing answers at ", address),
                   "start `midwatch scheduler` there, or correct --server");
  }
  absl::StatusOr<std::vector<v1::Batch>> batches = scheduler.ListBatches("", 1);
  if (!batches.ok()) {
    return Problem("scheduler",
                   absl::StrCat(address, ": ", batches.status().message()),
                   "look at the scheduler's log");
  }
  return Ok("scheduler", absl::StrCat(address, " answers"));
}

Finding CompareClocks(const AccountAnswer& answer) {
  if (!answer.service_time) {
    return Ok("clock", "the service's answers carry no date to compare");
  }
  // Date is cut to the second: the middle of it is the best guess.
  const absl::Duration offset =
      answer.our_time - *answer.service_time - absl::Milliseconds(500);
  const std::string says =
      absl::StrFormat("%.0f s %s the service's",
                      absl::ToDoubleSeconds(absl::AbsDuration(offset)),
                      offset < absl::ZeroDuration() ? "behind" : "ahead of");
  if (absl::AbsDuration(offset) <= kClockOffsetMax) return Ok("clock", says);
  return Warning("clock", says, "run a time service on this machine");
}

absl::StatusOr<AccountOptions> FindAccount(const ServiceOptions& service) {
  AccountOptions account;
  account.base_url = std::string(absl::StripSuffix(service.base_url, "/"));
  account.proxy = service.proxy;
  account.ca_file = service.ca_file;
  ASSIGN_OR_RETURN(account.api_key,
                   ReadApiKey(service.api_key_file, "ANTHROPIC_API_KEY"));
  return account;
}

Findings CheckService(const ServiceOptions& service) {
  if (service.base_url.empty()) {
    return {Ok("account",
               "none named (--base-url): the built-in harness needs none")};
  }
  absl::StatusOr<AccountOptions> account = FindAccount(service);
  if (!account.ok()) {
    return {Problem("account",
                    absl::StrCat("there is no key for ", service.base_url),
                    std::string(account.status().message()))};
  }
  const AccountAnswer answer = AskAccount(*account);
  if (!answer.status.ok()) {
    return {Problem("account", std::string(answer.status.message()),
                    absl::IsUnauthenticated(answer.status)
                        ? "check the key and what it may do"
                        : "check --base-url and the network")};
  }
  return {Ok("account", account->base_url + " answers and takes the key"),
          CompareClocks(answer)};
}

}  // namespace midwatch::cli
