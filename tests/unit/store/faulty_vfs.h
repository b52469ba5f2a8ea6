// A file system for SQLite that fails on command.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <new>

namespace tconv::testing {

// What goes wrong, and when.
struct Fault {
  const char* name;
  int code;           // SQLITE_FULL, SQLITE_IOERR_WRITE, ...
  bool only_first;    // else everything after it fails too
  bool tears_writes;  // half of what a failing write was to write is written
};

// Stands before the default file system while it lives; databases opened then
// go through it. Counts the calls that change files (write, sync, truncate,
// delete) or, after FailReadsAt(), those that read.
class FaultyVfs : private sqlite3_vfs {
 public:
  FaultyVfs() : sqlite3_vfs(*sqlite3_vfs_find(nullptr)), base_(sqlite3_vfs_find(nullptr)) {
    zName = "faulty";
    pAppData = this;
    szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    xOpen = &FaultyVfs::Open;
    xDelete = &FaultyVfs::Delete;
    sqlite3_vfs_register(this, /*makeDflt=*/1);
  }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;
  ~FaultyVfs() { sqlite3_vfs_unregister(this); }

  // The n-th call from now, counted from 1, goes wrong.
  void FailAt(int n, const Fault& fault) { Arm(n, fault, false); }
  void FailReadsAt(int n, const Fault& fault) { Arm(n, fault, true); }
  void Heal() { armed_ = false; }
  // Whether the fault has struck.
  bool has_failed() const { return calls_ >= fail_at_; }

 private:
  // What SQLite sees as a file; the real one lies behind it in memory.
  struct File : sqlite3_file {
    FaultyVfs* vfs;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static FaultyVfs& Of(sqlite3_vfs* vfs) { return *static_cast<FaultyVfs*>(vfs->pAppData); }
  static FaultyVfs& Of(sqlite3_file* file) { return *static_cast<File*>(file)->vfs; }
  static sqlite3_file* Real(sqlite3_file* file) { return static_cast<File*>(file)->real(); }
  static const sqlite3_io_methods& On(sqlite3_file* file) { return *Real(file)->pMethods; }

  void Arm(int n, const Fault& fault, bool reads) {
    armed_ = true;
    fault_ = fault;
    fails_reads_ = reads;
    fail_at_ = n;
    calls_ = 0;
  }
  bool Fails(bool is_read) {
    if (!armed_ || is_read != fails_reads_) return false;
    ++calls_;
    return fault_.only_first ? calls_ == fail_at_ : calls_ >= fail_at_;
  }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    FaultyVfs& self = Of(vfs);
    new (file) File{{nullptr}, &self};
    const int code = self.base_->xOpen(self.base_, name, Real(file), flags, out);
    if (code == SQLITE_OK) file->pMethods = &kMethods;
    return code;
  }
  static int Delete(sqlite3_vfs* vfs, const char* name, int sync) {
    FaultyVfs& self = Of(vfs);
    return self.Fails(false) ? self.fault_.code : self.base_->xDelete(self.base_, name, sync);
  }
  static int Read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
    FaultyVfs& self = Of(file);
    return self.Fails(true) ? self.fault_.code : On(file).xRead(Real(file), data, size, offset);
  }
  static int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    FaultyVfs& self = Of(file);
    if (!self.Fails(false)) return On(file).xWrite(Real(file), data, size, offset);
    if (self.fault_.tears_writes) On(file).xWrite(Real(file), data, size / 2, offset);
    return self.fault_.code;
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    FaultyVfs& self = Of(file);
    return self.Fails(false) ? self.fault_.code : On(file).xTruncate(Real(file), size);
  }
  // Never reaches the disk: no test pulls the plug, and thousands of them wait.
  static int Sync(sqlite3_file* file, int) {
    FaultyVfs& self = Of(file);
    return self.Fails(false) ? self.fault_.code : SQLITE_OK;
  }

  // Everything else is the real file's.
  template <auto method>
  struct Forward;
  template <typename... Args, int (*sqlite3_io_methods::*method)(sqlite3_file*, Args...)>
  struct Forward<method> {
    static int Call(sqlite3_file* file, Args... args) {
      return (On(file).*method)(Real(file), args...);
    }
  };
  static void ShmBarrier(sqlite3_file* file) { On(file).xShmBarrier(Real(file)); }

  static constexpr sqlite3_io_methods kMethods = {
      .iVersion = 2,  // without memory-mapped reading
      .xClose = Forward<&sqlite3_io_methods::xClose>::Call,
      .xRead = Read,
      .xWrite = Write,
      .xTruncate = Truncate,
      .xSync = Sync,
      .xFileSize = Forward<&sqlite3_io_methods::xFileSize>::Call,
      .xLock = Forward<&sqlite3_io_methods::xLock>::Call,
      .xUnlock = Forward<&sqlite3_io_methods::xUnlock>::Call,
      .xCheckReservedLock = Forward<&sqlite3_io_methods::xCheckReservedLock>::Call,
      .xFileControl = Forward<&sqlite3_io_methods::xFileControl>::Call,
      .xSectorSize = Forward<&sqlite3_io_methods::xSectorSize>::Call,
      .xDeviceCharacteristics = Forward<&sqlite3_io_methods::xDeviceCharacteristics>::Call,
      .xShmMap = Forward<&sqlite3_io_methods::xShmMap>::Call,
      .xShmLock = Forward<&sqlite3_io_methods::xShmLock>::Call,
      .xShmBarrier = ShmBarrier,
      .xShmUnmap = Forward<&sqlite3_io_methods::xShmUnmap>::Call,
      .xFetch = nullptr,
      .xUnfetch = nullptr,
  };

  sqlite3_vfs* base_;
  Fault fault_{};
  bool armed_ = false;
  bool fails_reads_ = false;
  int fail_at_ = 0;
  int calls_ = 0;
};

}  // namespace tconv::testing
