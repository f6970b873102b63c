// The same in C++: see classify.c. The context has an owner, memory comes from the program's own allocator, two threads compute.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <fashion.h>

static void check(int code)
{
    if (code != fashion_OK) throw std::runtime_error(fashion_strerror(code));
}

struct Picture {
    std::size_t height = 0, width = 0;
    std::vector<unsigned char> pixels; // [height][width][channels]
};

static Picture read_picture(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    Picture picture;
    std::string kind, most;
    file >> kind >> picture.width >> picture.height >> most;
    file.get();
    picture.pixels.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    if (kind != (fashion_CHANNELS == 1 ? "P5" : "P6") || most != "255" ||
        picture.pixels.size() != picture.height * picture.width * fashion_CHANNELS)
        throw std::runtime_error(path + " is no picture of " + std::to_string(fashion_CHANNELS) + " channels");
    return picture;
}

int main(int argc, char **argv) try {
    fashion_options options = {};
    options.size_bytes = sizeof(options);
    options.threads = 2;
    options.allocate = [](void *, std::size_t size) { return ::operator new(size, std::nothrow); };
    options.release = [](void *, void *block) { ::operator delete(block); };
    fashion_context *made = nullptr;
    check(fashion_create(&made, &options));
    std::unique_ptr<fashion_context, void (*)(fashion_context *)> context(made, fashion_destroy);
    std::vector<float> image(fashion_CHANNELS * fashion_HEIGHT * fashion_WIDTH), logits(fashion_CLASSES);
    for (int i = 1; i < argc; i++) {
        const Picture picture = read_picture(argv[i]);
        check(fashion_prepare(context.get(), picture.pixels.data(), picture.height, picture.width, image.data()));
        check(fashion_run(context.get(), image.data(), 1, logits.data()));
        std::size_t best = 0;
        for (std::size_t c = 1; c < logits.size(); c++)
            if (logits[c] > logits[best]) best = c;
        std::printf("%s: %s %.5f\n", argv[i], fashion_class_name(best), static_cast<double>(logits[best]));
    }
} catch (const std::exception &error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return 1;
}
