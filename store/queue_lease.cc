// Workers, admission, and giving leases back.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// A cent: the least that a session's budget can be.
constexpr int64_t kReservationMin = 10'000;

}  // namespace

absl::StatusOr<Registered> QueueWriter::Do(const RegisterWorker& write) {
  RETURN_IF_ERROR(
      db_.Run("INSERT INTO worker(at, incarnation, info) VALUES (?, ?, ?) "
              "ON CONFLICT(incarnation) DO NOTHING",
              NowMicros(), write.incarnation, write.description));
  bool is_new = db_.changes() > 0;
  for (const std::string& name : write.accounts) {
    ASSIGN_OR_RETURN(int64_t account, LabelId(kAccountLabel, name));
    ASSIGN_OR_RETURN(AccountStanding standing, LoadStanding(account));
    if (is_new && standing.state == v1::ACCOUNT_STATE_REFUSED) {
      RETURN_IF_ERROR(ProbeNow(account));
    }
  }
  SqliteStatement row = db_.Query("SELECT id FROM worker WHERE incarnation = ?",
                                  write.incarnation);
  if (row.Step()) return Registered{row.Int(0)};
  RETURN_IF_ERROR(row.status());
  return absl::InternalError("worker row vanished");
}

absl::StatusOr<Freed> QueueWriter::Do(const FreeLeases& write) {
  Freed freed;
  std::vector<LeaseKey> cancelling;
  const std::set<LeaseKey> held(write.held.begin(), write.held.end());
  {
    SqliteStatement row = db_.Query(
        "SELECT task, attempt, epoch, cancelling FROM live WHERE worker = ? "
        "ORDER BY task",
        write.worker);
    while (row.Step()) {
      LeaseKey lease{write.worker, row.Int(0), static_cast<int32_t>(row.Int(1)),
                     row.Int(2)};
      if (!held.contains(lease)) {
        freed.leases.push_back(lease);
      } else if (row.Int(3) != 0) {
        cancelling.push_back(lease);
      }
    }
    RETURN_IF_ERROR(row.status());
  }
  for (const LeaseKey& lease : cancelling) {
    ASSIGN_OR_RETURN(v1::Say say, PutInterrupt(lease));
    freed.notices.push_back({lease, std::move(say)});
  }
  for (const LeaseKey& lease : freed.leases) {
    ASSIGN_OR_RETURN(TaskRow task, LoadTask(lease.task));
    RETURN_IF_ERROR(
        db_.Run("UPDATE live SET worker = NULL WHERE task = ?", lease.task));
    JournalEntry entry{.kind = JournalKind::kFreed,
                       .batch = task.batch,
                       .task = lease.task,
                       .attempt = lease.attempt,
                       .state = task.state,
                       .who = lease.worker};
    RETURN_IF_ERROR(Journal(entry).status());
  }
  return freed;
}

absl::StatusOr<Done> QueueWriter::Do(const HandBack& write) {
  absl::StatusOr<LiveRow> live = LoadLive(write.lease);
  if (absl::IsAborted(live.status())) {
    // Again, or taken away in the meantime: the lease is not the caller's,
    // which is what it wants.
    return Done{};
  }
  RETURN_IF_ERROR(live.status());
  RETURN_IF_ERROR(db_.Run("UPDATE live SET worker = NULL WHERE task = ?",
                          write.lease.task));
  JournalEntry entry{.kind = JournalKind::kHandedBack,
                     .batch = live->batch,
                     .task = write.lease.task,
                     .attempt = write.lease.attempt,
                     .state = StateOf(*live),
                     .who = write.lease.worker};
  RETURN_IF_ERROR(Journal(entry).status());
  return Done{};
}

absl::StatusOr<std::vector<QueueWriter::Flow>> QueueWriter::WaitingFlows(
    int64_t account) {
  std::vector<Flow> flows;
  Flow& cursor = flow_cursors_[account];
  Flow from = cursor;
  bool wrapped = from == Flow{};
  while (flows.size() < AdmissionBounds::kShares) {
    ASSIGN_OR_RETURN(std::optional<Flow> next, FlowAfter(account, from));
    if (next) {
      from = *next;
      if (!flows.empty() && from == flows.front()) break;
      flows.push_back(from);
      continue;
    }
    if (wrapped) break;
    wrapped = true;
    from = {};
  }
  // More than one view shows: the next one goes on behind these.
  cursor = flows.size() < AdmissionBounds::kShares ? Flow{} : flows.back();
  return flows;
}

// Two searches: of (tenant, queue) > (?, ?) SQLite makes one that walks over
// every lane of the tenant's queue.
absl::StatusOr<std::optional<QueueWriter::Flow>> QueueWriter::FlowAfter(
    int64_t account, Flow flow) {
  {
    SqliteStatement row = db_.Query(
        "SELECT queue FROM lane WHERE account = ? AND tenant = ? AND queue > ? "
        "AND blocked = 0 AND head IS NOT NULL ORDER BY queue LIMIT 1",
        account, flow.tenant, flow.queue);
    if (row.Step()) return Flow{flow.tenant, row.Int(0)};
    RETURN_IF_ERROR(row.status());
  }
  SqliteStatement row = db_.Query(
      "SELECT tenant, queue FROM lane WHERE account = ? AND tenant > ? "
      "AND blocked = 0 AND head IS NOT NULL ORDER BY tenant, queue LIMIT 1",
      account, flow.tenant);
  if (row.Step()) return Flow{row.Int(0), row.Int(1)};
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

absl::Status QueueWriter::ViewShares(const std::set<Flow>& flows,
                                     AdmissionView& view) {
  view.shared = flows.size() > 1;
  if (!view.shared) return absl::OkStatus();
  std::set<Flow> wanted = {Flow{}};
  for (const Flow& flow : flows) {
    wanted.insert({flow.tenant, 0});
    wanted.insert(flow);
  }
  for (const Flow& flow : wanted) {
    SqliteStatement row = db_.Query(
        "SELECT finish, clock FROM share WHERE tenant = ? AND queue = ?",
        flow.tenant, flow.queue);
    if (row.Step()) {
      view.shares.push_back({flow.tenant, flow.queue, row.Int(0), row.Int(1)});
    }
    RETURN_IF_ERROR(row.status());
  }
  ASSIGN_OR_RETURN(bool controls, HasControls());
  for (const Flow& flow : wanted) {
    // A queue weighs the same beside whichever tenant's others.
    const int64_t of = flow.queue != 0 ? flow.queue : flow.tenant;
    if (!controls || of == 0) continue;
    ASSIGN_OR_RETURN(Control control, LoadControl(of));
    if (control.weight != 1) view.weights.push_back({of, control.weight});
  }
  // What it will cost counts only where it is compared.
  for (LaneView& lane : view.lanes) {
    for (ReadyTask& ready : lane.ready) {
      // Tasks of a batch are of one template, but for those with a prompt of
      // their own, whose settle corrects what was counted for them.
      if (lane.batch != 0 && &ready != &lane.ready.front()) {
        ready.predicted = lane.ready.front().predicted;
        continue;
      }
      SqliteStatement row = db_.Query(
          "SELECT CASE WHEN k.samples > 0 THEN k.cost_p50 ELSE t.max_cost END "
          "FROM task t JOIN template m ON m.id = t.template "
          "LEFT JOIN kind k ON k.id = m.kind WHERE t.id = ?",
          ready.task);
      if (row.Step()) ready.predicted = std::max<int64_t>(1, row.Int(0));
      RETURN_IF_ERROR(row.status());
    }
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::PutShares(const std::vector<ShareView>& shares) {
  for (const ShareView& share : shares) {
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO share(tenant, queue, finish, clock) VALUES (?,?,?,?) "
        "ON CONFLICT(tenant, queue) DO UPDATE SET finish = excluded.finish, "
        "clock = excluded.clock",
        share.tenant, share.queue, share.finish, share.clock));
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::CorrectShare(int64_t lane, const LiveRow& live,
                                       int64_t charged) {
  if (live.counted == 0 || charged == live.counted) return absl::OkStatus();
  ASSIGN_OR_RETURN(Scopes scopes, ScopesOf(lane));
  ASSIGN_OR_RETURN(bool controls, HasControls());
  for (int64_t queue : {int64_t{0}, scopes.queue}) {
    Control control;
    if (controls) {
      ASSIGN_OR_RETURN(control,
                       LoadControl(queue != 0 ? queue : scopes.tenant));
    }
    RETURN_IF_ERROR(db_.Run(
        "UPDATE share SET finish = finish + ? WHERE tenant = ? AND queue = ?",
        (charged - live.counted) / control.weight, scopes.tenant, queue));
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::ViewLanes(int64_t account_id,
                                    const std::string& account, int lanes,
                                    int tasks_per_lane,
                                    std::map<int64_t, bool>& is_capped,
                                    AdmissionView& view) {
  struct Row {
    Scopes scopes;
    LaneView lane;
    int64_t head = 0;
  };
  std::vector<Row> rows;
  ASSIGN_OR_RETURN(std::vector<Flow> flows, WaitingFlows(account_id));
  const int shares = std::max(1, static_cast<int>(flows.size()));
  const int per_flow =
      std::max(lanes / shares, AdmissionBounds::kLanesPerShareMin);
  // Of several that take turns none gets all of a pass.
  if (shares > 1) {
    tasks_per_lane =
        std::min(tasks_per_lane,
                 std::max(4, 2 * AdmissionBounds::kGrantsPerPass / shares));
  }
  for (const Flow& flow : flows) {
    SqliteStatement row = db_.Query(
        "SELECT id, batch, tenant, ckey, queue, head FROM lane "
        "WHERE account = ? AND tenant = ? AND queue = ? "
        "AND blocked = 0 AND head IS NOT NULL ORDER BY head LIMIT ?",
        account_id, flow.tenant, flow.queue, std::min(lanes, per_flow));
    while (row.Step()) {
      Row one{.scopes = {row.Int(2), row.Int(4), row.Int(1)},
              .lane = {},
              .head = row.Int(5)};
      one.lane.tenant = row.Int(2);
      one.lane.queue = row.Int(4);
      one.lane.lane = row.Int(0);
      one.lane.account = account;
      one.lane.batch = row.Int(1);
      if (std::string key = row.Text(3); !key.empty()) {
        one.lane.concurrency_key = absl::StrCat(one.scopes.tenant, "/", key);
      }
      rows.push_back(std::move(one));
    }
    RETURN_IF_ERROR(row.status());
  }
  // A probe shows one: the first over all.
  if (rows.size() > static_cast<size_t>(lanes)) {
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
      return a.head < b.head;
    });
    rows.resize(static_cast<size_t>(lanes));
  }
  ASSIGN_OR_RETURN(bool budgets, HasBudgets());
  ASSIGN_OR_RETURN(bool controls, HasControls());
  for (Row& each : rows) {
    LaneView& lane = each.lane;
    if (controls) {
      RETURN_IF_ERROR(ViewCaps(account_id, lane, is_capped, view));
    }
    if (budgets) {
      RETURN_IF_ERROR(ViewBudgets(each.scopes, lane, view));
    }
    if (!lane.concurrency_key.empty()) {
      std::string key =
          lane.concurrency_key.substr(lane.concurrency_key.find('/') + 1);
      ASSIGN_OR_RETURN(lane.key_room, KeyRoom(each.scopes.tenant, key));
    }
    SqliteStatement row =
        lane.budgets.empty()
            ? db_.Query(
                  "SELECT rank, task, 0, 0 FROM ready WHERE lane = ? "
                  "ORDER BY rank LIMIT ?",
                  lane.lane, tasks_per_lane)
            : db_.Query(
                  "SELECT r.rank, r.task, max(t.max_cost - t.charged, ?), "
                  "k.dearest FROM ready r JOIN task t ON t.id = r.task "
                  "JOIN template m ON m.id = t.template "
                  "LEFT JOIN kind k ON k.id = m.kind "
                  "WHERE r.lane = ? ORDER BY r.rank LIMIT ?",
                  kReservationMin, lane.lane, tasks_per_lane);
    while (row.Step()) {
      lane.ready.push_back({row.Int(1), row.Int(0), row.Int(2), row.Int(3)});
    }
    RETURN_IF_ERROR(row.status());
    view.lanes.push_back(std::move(lane));
  }
  return absl::OkStatus();
}

absl::StatusOr<AdmissionView> QueueWriter::View(
    const std::vector<WorkerOffer>& offers) {
  AdmissionView view;
  std::map<int64_t, bool> is_capped;
  std::map<std::string, int> slots;  // by account
  for (const WorkerOffer& offer : offers) {
    for (const std::string& account : offer.accounts) {
      slots[account] += offer.free_slots;
    }
  }
  for (const auto& [account, free_slots] : slots) {
    if (free_slots <= 0) continue;
    ASSIGN_OR_RETURN(int64_t account_id, LabelId(kAccountLabel, account));
    ASSIGN_OR_RETURN(AccountStanding standing, LoadStanding(account_id));
    if (standing.state != v1::ACCOUNT_STATE_OPEN) {
      // A person's pause has no probes.
      if (standing.next_probe > clock_.Now()) continue;
      // One attempt is shown, and its grant puts the next probe off. A new one
      // goes first, since its create tells at once.
      size_t before = view.lanes.size();
      RETURN_IF_ERROR(ViewLanes(account_id, account, 1, 1, is_capped, view));
      if (view.lanes.size() > before) continue;
    }
    int adoptable = standing.state == v1::ACCOUNT_STATE_OPEN
                        ? AdmissionBounds::kAdoptable
                        : 1;
    {
      SqliteStatement row = db_.Query(
          "SELECT task FROM live WHERE account = ? AND worker IS NULL "
          "AND parked_at IS NULL "
          "ORDER BY task LIMIT ?",
          account_id, adoptable);
      while (row.Step()) view.adoptable.push_back({row.Int(0), account});
      RETURN_IF_ERROR(row.status());
    }
    if (standing.state != v1::ACCOUNT_STATE_OPEN) continue;
    RETURN_IF_ERROR(ViewLanes(
        account_id, account, AdmissionBounds::kLanes,
        std::min(free_slots, AdmissionBounds::kTasksPerLane), is_capped, view));
  }
  std::set<Flow> flows;
  for (const LaneView& lane : view.lanes) {
    flows.insert({lane.tenant, lane.queue});
  }
  RETURN_IF_ERROR(ViewShares(flows, view));
  std::map<int64_t, bool> seen;
  for (const LaneView& lane : view.lanes) {
    if (lane.batch == 0 || !seen.emplace(lane.batch, true).second) continue;
    SqliteStatement row = db_.Query(
        "SELECT running + cancelling, max_running FROM batch "
        "WHERE id = ?",
        lane.batch);
    if (row.Step() && row.Int(1) > 0) {
      view.batch_caps.push_back({lane.batch, static_cast<int>(row.Int(0)),
                                 static_cast<int>(row.Int(1))});
    }
    RETURN_IF_ERROR(row.status());
  }
  return view;
}

absl::StatusOr<Grants> QueueWriter::Do(const Admit& write) {
  ASSIGN_OR_RETURN(AdmissionView view, View(write.offers));
  AdmissionDecisions decisions = write.decide(clock_.Now(), write.offers, view);
  Grants result;
  for (const auto& assign : decisions.adoptions) {
    ASSIGN_OR_RETURN(GrantRecord grant, Adopt(assign.task, assign.worker));
    result.grants.push_back(std::move(grant));
  }
  bool expired = false;
  GrantSums sums;
  for (const auto& assign : decisions.grants) {
    ASSIGN_OR_RETURN(std::optional<GrantRecord> grant,
                     GrantNew(assign.task, assign.worker, assign.overshoot,
                              assign.counted, sums));
    expired = expired || !grant.has_value();
    if (grant) result.grants.push_back(*std::move(grant));
  }
  RETURN_IF_ERROR(CountGrants(sums));
  // What is blocked may be so for one that does not run after all, and nobody
  // would unblock it. The pass after the expiry decides anew.
  if (expired) decisions.blocks.clear();
  RETURN_IF_ERROR(PutShares(decisions.shares));
  for (const auto& block : decisions.blocks) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE lane SET blocked = blocked | ? WHERE id = ?",
                static_cast<int>(block.why), block.lane));
    if (block.why != LaneBlock::kBudget && block.why != LaneBlock::kCap) {
      continue;
    }
    // Whoever watches the batch hears that it waits.
    ASSIGN_OR_RETURN(Scopes scopes, ScopesOf(block.lane));
    if (scopes.batch != 0) touched_batches_.insert(scopes.batch);
  }
  result.waits_for_slot = decisions.waits_for_slot;
  // Blocking may have uncovered lanes behind the view's bound. What has expired
  // stays in the view until its timer ends it, and asks for no other pass.
  result.more = !result.grants.empty() || !decisions.blocks.empty();
  return result;
}

absl::StatusOr<std::optional<GrantRecord>> QueueWriter::GrantNew(
    int64_t id, int64_t worker, int64_t overshoot, int64_t counted,
    GrantSums& sums) {
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(id));
  if (task.state != v1::TASK_STATE_QUEUED || !task.rank.has_value()) {
    return absl::InternalError(
        absl::StrCat("admission granted task ", id, ", which is not ready"));
  }
  int64_t now = NowMicros();
  // Its timer is due: whichever of the two commits first, it does not start.
  if (task.expires_at && *task.expires_at <= now) return std::nullopt;
  RETURN_IF_ERROR(ForgetExpiry(task));
  LiveRow live;
  live.lease = {worker, id, task.attempts + 1, 0};
  live.batch = task.batch;
  // What earlier attempts left: the settle that made another attempt possible
  // has seen that it is enough to begin with. It may have cost more since.
  live.overshoot = overshoot;
  live.counted = counted;
  live.reserved =
      std::max(task.max_cost - task.charged, kReservationMin) + overshoot;
  live.granted_at = now;
  live.phase = v1::ATTEMPT_PHASE_GRANTED;
  JournalEntry entry{.kind = JournalKind::kGranted,
                     .batch = task.batch,
                     .task = id,
                     .attempt = live.lease.attempt,
                     .state = v1::TASK_STATE_RUNNING,
                     .who = worker,
                     .reserve_delta = live.reserved};
  ASSIGN_OR_RETURN(live.lease.epoch, Journal(entry));
  live.grant_seq = live.lease.epoch;
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM ready WHERE lane = ? AND rank = ? AND task = ?",
              task.lane, *task.rank, id));
  ++sums.lanes[task.lane];
  RETURN_IF_ERROR(CountRunning(task.lane, 1));
  ASSIGN_OR_RETURN(const LaneIdentity lane, IdentityOf(task.lane));
  live.account = lane.account;
  RETURN_IF_ERROR(Reserve({lane.tenant, lane.queue, lane.batch}, live));
  ASSIGN_OR_RETURN(live.forecast, ForecastOf(task.template_id));
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO live(task, attempt, epoch, worker, account, batch, phase, "
      "reserved, grant_seq, granted_at, samples, cost_p50, cost_p90, time_p50, "
      "time_p90, overshoot, counted) "
      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      id, live.lease.attempt, live.lease.epoch, worker, live.account,
      live.batch, static_cast<int>(live.phase), live.reserved, live.grant_seq,
      now, live.forecast.samples, live.forecast.cost_p50,
      live.forecast.cost_p90, absl::ToInt64Microseconds(live.forecast.time_p50),
      absl::ToInt64Microseconds(live.forecast.time_p90), live.overshoot,
      live.counted));
  RETURN_IF_ERROR(db_.Run(
      "UPDATE task SET state = ?, attempts = attempts + 1, reserved = ?, "
      "rank = NULL, expires_at = NULL, granted_at = ifnull(granted_at, ?) "
      "WHERE id = ?",
      static_cast<int>(v1::TASK_STATE_RUNNING), live.reserved, now, id));
  GrantSums::OfBatch& batch = sums.batches[task.batch];
  ++batch.tasks;
  batch.reserved += live.reserved;
  ASSIGN_OR_RETURN(GrantRecord grant, DescribeGrant(task, live));
  ASSIGN_OR_RETURN(grant.probe, NoteProbe(live));
  return std::optional<GrantRecord>(std::move(grant));
}

absl::Status QueueWriter::CountGrants(const GrantSums& sums) {
  for (const auto& [lane, tasks] : sums.lanes) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE lane SET running = running + ?, "
        "head = (SELECT rank FROM ready WHERE lane = ? ORDER BY rank LIMIT 1), "
        "blocked = blocked & ~4 WHERE id = ?",
        tasks, lane, lane));
  }
  for (const auto& [batch, granted] : sums.batches) {
    if (batch == 0) continue;
    RETURN_IF_ERROR(
        db_.Run("UPDATE batch SET queued = queued - ?, running = running + ?, "
                "reserved = reserved + ? WHERE id = ?",
                granted.tasks, granted.tasks, granted.reserved, batch));
  }
  return absl::OkStatus();
}

absl::StatusOr<GrantRecord> QueueWriter::Adopt(int64_t id, int64_t worker) {
  ASSIGN_OR_RETURN(std::optional<LiveRow> live, FindLive(id));
  if (!live.has_value() || live->lease.worker != 0) {
    return absl::InternalError(
        absl::StrCat("admission adopted task ", id, ", which is not free"));
  }
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(id));
  JournalEntry entry{.kind = JournalKind::kAdopted,
                     .batch = live->batch,
                     .task = id,
                     .attempt = live->lease.attempt,
                     .state = StateOf(*live),
                     .who = worker};
  ASSIGN_OR_RETURN(live->lease.epoch, Journal(entry));
  live->lease.worker = worker;
  // What it waited for its account does not count towards its timeouts.
  if (live->held_at) {
    live->parked_for += std::max<int64_t>(0, NowMicros() - *live->held_at);
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE live SET worker = ?, epoch = ?, parked_for = ?, "
              "held_at = NULL WHERE task = ?",
              worker, live->lease.epoch, live->parked_for, id));
  ASSIGN_OR_RETURN(GrantRecord grant, DescribeGrant(task, *live));
  ASSIGN_OR_RETURN(grant.probe, NoteProbe(*live));
  RETURN_IF_ERROR(AddWhatWasBegun(grant));
  return grant;
}

absl::StatusOr<GrantRecord> QueueWriter::DescribeGrant(const TaskRow& task,
                                                       const LiveRow& live) {
  GrantRecord grant;
  grant.lease = live.lease;
  grant.batch = live.batch;
  grant.session_id = live.session;
  grant.phase = live.phase;
  grant.budget = live.reserved - live.overshoot;
  grant.granted_at = absl::FromUnixMicros(live.granted_at);
  grant.grant_seq = live.grant_seq;
  grant.cancelling = live.cancelling;
  grant.parked = absl::Microseconds(live.parked_for);
  grant.unanswered = live.unanswered;
  grant.task = {task.id, task.at / 1000};
  ASSIGN_OR_RETURN(grant.account, LabelName(live.account));
  ASSIGN_OR_RETURN(grant.spec, LoadSpec(task.template_id));
  {
    SqliteStatement row = db_.Query(
        "SELECT name, line_blob, given FROM task WHERE id = ?", task.id);
    if (!row.Step() || !grant.line.ParseFromString(row.Text(1))) {
      return absl::DataLossError(absl::StrCat("task row ", task.id));
    }
    grant.name = row.Text(0);
    if (!row.IsNull(2)) {
      v1::TaskLine given;
      if (!given.ParseFromString(row.Text(2))) {
        return absl::DataLossError(absl::StrCat("task row ", task.id));
      }
      // In place of those that name a task.
      auto& inputs = *grant.line.mutable_inputs();
      inputs.erase(std::remove_if(inputs.begin(), inputs.end(),
                                  [](const v1::Input& each) {
                                    return !each.from().empty();
                                  }),
                   inputs.end());
      grant.line.MergeFrom(given);
    }
  }
  return grant;
}

absl::Status QueueWriter::AddWhatWasBegun(GrantRecord& grant) {
  {
    SqliteStatement row = db_.Query(
        // What was said needs its words no more, and handlers' are many.
        "SELECT k, kind, key, CASE WHEN said THEN '' ELSE body END, said "
        "FROM say WHERE task = ? AND n = ? ORDER BY k",
        grant.lease.task, grant.lease.attempt);
    while (row.Step()) {
      v1::Say& say = grant.outbox.emplace_back();
      say.set_number(static_cast<int32_t>(row.Int(0)));
      say.set_kind(static_cast<v1::SayKind>(row.Int(1)));
      say.set_key(row.Text(2));
      say.set_text(row.Text(3));
      say.set_said(row.Int(4) != 0);
    }
    RETURN_IF_ERROR(row.status());
  }
  SqliteStatement row = db_.Query(
      "SELECT count(*) FROM create_try WHERE task = ? AND n = ? "
      "AND disowned != 2",
      grant.lease.task, grant.lease.attempt);
  if (row.Step()) grant.create_tries = static_cast<int32_t>(row.Int(0));
  return row.status();
}

}  // namespace midwatch
