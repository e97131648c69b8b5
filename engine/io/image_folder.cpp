#include "engine/io/image_folder.hpp"

#include <algorithm>
#include <cctype>

#include "engine/config_text.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/resize.hpp"
#include "engine/progress.hpp"
#include "engine/threads.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

/// The names in a folder that are kept, by their bytes.
template <typename Keep>
std::vector<std::string> names_in(const fs::path& folder, Keep keep) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (keep(*entry)) names.push_back(entry->path().filename().string());
  if (error) fail("cannot list the folder {}: {}", folder.string(), error.message());
  std::ranges::sort(names);
  return names;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_picture(const fs::directory_entry& entry) {
  std::string ending = entry.path().extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (is_folder(entry.path()))
    fail("{}: a folder within the folder of a class: its pictures would be passed over",
         entry.path().string());
  for (const char* other : {".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
    if (ending == other)
      fail("{}: of the pictures in an image folder PNG and JPEG are read: convert it, or remove it",
           entry.path().string());
  if (ending != ".png" && ending != ".jpg" && ending != ".jpeg") return false;
  std::error_code error;
  if (!entry.is_regular_file(error))
    fail("{}: not a file that can be read{}", entry.path().string(),
         error ? ": " + error.message() : "");
  return true;
}

std::vector<std::string> classes_in(const fs::path& folder) {
  std::vector<std::string> classes =
      names_in(folder, [](const auto& entry) { return is_folder(entry.path()); });
  if (classes.empty())
    fail("{}: no folders of classes: pictures go into {}", folder.string(),
         (folder / "CLASS").string());
  for (const std::string& name : classes) {  // models name them, by lines
    if (name.find('\n') != name.npos)
      fail("{}: the name of the class '{}' has a line break", folder.string(), name);
    check_config_text(name, (folder / name).string(), false);
  }
  return classes;
}

/// The split's folder; nothing where there is none.
fs::path folder_of(std::string_view split, const fs::path& root) {
  if (split == "train") return is_folder(root / "train") ? root / "train" : fs::path();
  for (const char* name : {"test", "val"})
    if (is_folder(root / name)) return root / name;
  return {};
}

/// Labels number the classes of each split by itself: one more, or one less, would shift them.
void check_same_classes(const std::vector<std::string>& classes, const fs::path& folder,
                        const fs::path& other) {
  const std::vector<std::string> others = classes_in(other);
  const auto [mine, theirs] = std::ranges::mismatch(classes, others);
  if (mine == classes.end() && theirs == others.end()) return;
  const bool lacks = mine == classes.end() || (theirs != others.end() && *theirs < *mine);
  fail("{} has the class '{}', which {} has not: both must have the same",
       (lacks ? other : folder).string(), lacks ? *theirs : *mine,
       (lacks ? folder : other).string());
}

class FolderReader : public ImageReader {
 public:
  FolderReader(std::string name, fs::path folder, ImageForm form)
      : name_(std::move(name)), folder_(std::move(folder)), form_(form) {}

  /// Of a file in the split's folder: "CLASS/FILE".
  void add(std::string file) { files_.push_back(std::move(file)); }

  void read(std::int64_t index, std::uint8_t* pixels) const override {
    const fs::path path = folder_ / files_[static_cast<std::size_t>(index)];
    const Image image = resized_centre(read_image(path, form_.channels), form_.resized_side(),
                                       form_.height, form_.width);
    std::ranges::copy(image.pixels, pixels);
  }

  std::string sha256() const override {
    constexpr std::size_t block = 1024;
    const auto count = static_cast<std::int64_t>(files_.size());
    ProgressBar progress("read " + folder_.string(), count, "files");
    Sha256 digest;
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < files_.size(); begin += block) {
      lines.resize(std::min(block, files_.size() - begin));
      parallel_for(std::ssize(lines), [&](std::int64_t i) {
        if (interrupted()) return;  // said below
        const std::string& file = files_[begin + static_cast<std::size_t>(i)];
        lines[static_cast<std::size_t>(i)] =
            fmt::format("{}  {}\n", sha256_file(folder_ / file), file);
        progress.advance();
      });
      if (interrupted()) fail_interrupted("interrupted while the files of {} were read", name_);
      for (const std::string& line : lines) digest.update(as_bytes(line));
    }
    return digest.hex();
  }

  std::string identity() const override {
    Sha256 digest;
    for (const std::string& file : files_) digest.update(as_bytes(file + '\n'));
    return digest.hex();
  }

  bool decodes() const override { return true; }

 private:
  std::string name_;
  fs::path folder_;
  ImageForm form_;
  std::vector<std::string> files_;
};

}  // namespace

Dataset open_image_folder(std::string_view name, std::string_view split, const fs::path& root,
                          const ImageForm& form) {
  if (form.height < 1 || form.width < 1 || (form.channels != 1 && form.channels != 3))
    fail_usage(
        "the pictures of data set {} have any size: {}x{} pixels in {} channels is none that they "
        "can be read in",
        name, form.width, form.height, form.channels);
  const fs::path folder = folder_of(split, root);
  if (folder.empty())
    fail("{}: the {} split of {} takes a folder {} with a folder of pictures for each class",
         root.string(), split, name, split == "train" ? "'train'" : "'test' or 'val'");
  Dataset dataset;
  dataset.name = name;
  dataset.split = split;
  dataset.height = form.height;
  dataset.width = form.width;
  dataset.channels = form.channels;
  dataset.class_names = classes_in(folder);
  dataset.classes = static_cast<int>(dataset.class_names.size());
  if (const fs::path other = folder_of(split == "train" ? "test" : "train", root); !other.empty())
    check_same_classes(dataset.class_names, folder, other);
  if (dataset.classes != form.classes)
    fail("{} has folders of {} classes, but {} are expected (data.classes of a configuration)",
         folder.string(), dataset.classes, form.classes);

  const auto reader = std::make_shared<FolderReader>(dataset.name, folder, form);
  for (std::int32_t label = 0; label < dataset.classes; ++label) {
    const std::string& cls = dataset.class_names[static_cast<std::size_t>(label)];
    const std::vector<std::string> files = names_in(folder / cls, is_picture);
    if (files.empty()) fail("{}: no pictures (.png, .jpg, .jpeg)", (folder / cls).string());
    for (const std::string& file : files) reader->add(cls + "/" + file);
    dataset.labels.insert(dataset.labels.end(), files.size(), label);
  }
  dataset.images = reader;
  return dataset;
}

}  // namespace pixeldp
