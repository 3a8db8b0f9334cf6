// A worker for the tests of the launcher. Its words are done in order:
//   begin=TEXT   an operation of step 12      beat   every 20 ms from now on
//   quiet        no beat any longer           leave  ends the heartbeat properly
//   limit=S      of one operation             sleep=S
//   await-loss   until the launcher says who is lost; then exit code 76
#include "dist/launch/worker_board.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace {

std::atomic<bool> is_beating = false;

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

}  // namespace

int main(int count, char** words) {
  const auto board = qtk::dist::WorkerBoard::inherited();
  if (!board) return 3;
  std::thread([&] {
    for (;; sleep_for(0.02))
      if (is_beating) board->beat();
  }).detach();
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const std::string value = word.substr(word.find('=') + 1);
    if (word.starts_with("begin=")) board->begin(value, 12);
    if (word == "beat") is_beating = true;
    if (word == "beat") board->beat();
    if (word == "quiet" || word == "leave") is_beating = false;
    if (word == "leave") sleep_for(0.05);
    if (word == "leave") board->leave();
    if (word.starts_with("limit=")) board->set_step_limit(std::stod(value));
    if (word.starts_with("sleep=")) sleep_for(std::stod(value));
    while (word == "await-loss" && !board->lost_rank()) sleep_for(0.005);
    if (word == "await-loss") ::_exit(76);
  }
  ::_exit(0);
}
