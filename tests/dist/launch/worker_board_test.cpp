#include "dist/launch/worker_board.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace qtk::dist {
namespace {

/// The environment that qtk launch gives a worker.
class BoardVariables {
 public:
  BoardVariables(int descriptor, int worker) {
    ::setenv("QTK_BOARD_FD", std::to_string(descriptor).c_str(), 1);
    ::setenv("QTK_LOCAL_RANK", std::to_string(worker).c_str(), 1);
  }
  ~BoardVariables() {
    ::unsetenv("QTK_BOARD_FD");
    ::unsetenv("QTK_LOCAL_RANK");
  }
};

std::unique_ptr<WorkerBoard> joined(const WorkerBoard& board, int worker) {
  const BoardVariables variables(board.descriptor(), worker);
  return WorkerBoard::inherited();
}

TEST(WorkerBoardTest, ARowIsEmptyUntilTheWorkerWrites) {
  const auto board = WorkerBoard::create(2);

  const auto row = board.row(1);

  EXPECT_EQ(row.operation, "");
  EXPECT_EQ(row.step, -1);
  EXPECT_FALSE(row.beat_age_s);
  EXPECT_EQ(row.step_limit_s, 0);
  EXPECT_FALSE(board.lost_rank());
}

TEST(WorkerBoardTest, TheLauncherReadsWhatAWorkerWrote) {
  const auto board = WorkerBoard::create(2);
  const auto worker = joined(board, 1);
  ASSERT_TRUE(worker);

  worker->begin("forward micro-batch 2", 11);
  worker->begin("recv forward micro-batch 3 from stage 1", 12);
  worker->beat();
  worker->set_step_limit(2.5);

  const auto row = board.row(1);
  EXPECT_EQ(row.operation, "recv forward micro-batch 3 from stage 1");
  EXPECT_EQ(row.step, 12);
  EXPECT_GE(row.operation_age_s, 0);
  EXPECT_LT(row.operation_age_s, 60);
  ASSERT_TRUE(row.beat_age_s);
  EXPECT_LT(*row.beat_age_s, 60);
  EXPECT_DOUBLE_EQ(row.step_limit_s, 2.5);
  EXPECT_EQ(board.row(0).operation, "");
  worker->leave();
  EXPECT_FALSE(board.row(1).beat_age_s);
}

TEST(WorkerBoardTest, ALongOperationIsCutNotSpilt) {
  const auto board = WorkerBoard::create(2);
  joined(board, 0)->begin(std::string(500, 'x'), 1);

  EXPECT_EQ(board.row(0).operation, std::string(119, 'x'));
  EXPECT_EQ(board.row(1).operation, "");
}

TEST(WorkerBoardTest, EveryWorkerLearnsWhoIsLostUntilTheNextAttempt) {
  auto board = WorkerBoard::create(2);
  const auto worker = joined(board, 1);
  worker->begin("forward", 3);

  board.announce_lost(0);
  EXPECT_EQ(worker->lost_rank(), 0);

  board.clear();
  EXPECT_FALSE(worker->lost_rank());
  EXPECT_EQ(board.row(1).operation, "");
}

TEST(WorkerBoardTest, NoVariablesOrAnotherFileMeanNoBoard) {
  EXPECT_FALSE(WorkerBoard::inherited());
  const auto board = WorkerBoard::create(2);
  EXPECT_FALSE(joined(board, 2)) << "there is no such row";
  {
    const BoardVariables variables(1'000'000, 0);
    EXPECT_FALSE(WorkerBoard::inherited());
  }
  const int other = ::memfd_create("other", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(other, 4096), 0);
  {
    const BoardVariables variables(other, 0);
    EXPECT_FALSE(WorkerBoard::inherited());
  }
  ::close(other);
}

// Every text is one letter repeated as often as the step says, so that a mixture shows.
TEST(WorkerBoardTest, AReaderNeverSeesTwoOperationsMixed) {
  const auto board = WorkerBoard::create(1);
  const auto worker = joined(board, 0);
  std::atomic<bool> is_over = false;
  std::thread writer([&] {
    for (int i = 0; i < 300'000; ++i) {
      const int length = 1 + i % 100;
      worker->begin(std::string(static_cast<size_t>(length), static_cast<char>('a' + length % 26)),
                    length);
    }
    is_over = true;
  });
  int64_t mixed = 0;
  while (!is_over) {
    const auto row = board.row(0);
    if (row.step < 0) continue;
    const auto length = static_cast<size_t>(row.step);
    mixed += row.operation != std::string(length, static_cast<char>('a' + row.step % 26));
  }
  writer.join();

  EXPECT_EQ(mixed, 0);
}

TEST(WorkerBoardTest, AKilledWriterLeavesItsLastCompleteOperation) {
  auto board = WorkerBoard::create(1);
  for (int round = 0; round < 20; ++round) {
    board.clear();
    const pid_t child = ::fork();
    if (child == 0) {
      const auto worker = joined(board, 0);
      for (int64_t i = 1;; ++i) worker->begin("operation " + std::to_string(i), i);
    }
    while (board.row(0).step < 1) std::this_thread::yield();
    ::usleep(static_cast<useconds_t>(100 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);

    const auto row = board.row(0);

    EXPECT_EQ(row.operation, "operation " + std::to_string(row.step));
  }
}

}  // namespace
}  // namespace qtk::dist
