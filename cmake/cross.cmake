# What artefacts carry, once more for each other system whose compiler is installed: artefact/SYSTEM/*.a. A system without one
# is passed over, and `ftso build --target` names the package that is missing.
#
#   ftso_cross_archives(ARCHIVE...)   archives whose sources are compiled; pictures are not read there
set(cross_include ${CMAKE_BINARY_DIR}/generated/cross) # headers alone, away from this system's C library
file(MAKE_DIRECTORY ${cross_include})
find_path(ZLIB_HEADERS zlib.h)
foreach(header ${RANDOM123_INCLUDE}/Random123 ${ZLIB_HEADERS}/zlib.h ${ZLIB_HEADERS}/zconf.h)
  get_filename_component(name ${header} NAME)
  if(EXISTS ${header})
    file(CREATE_LINK ${header} ${cross_include}/${name} SYMBOLIC)
  endif()
endforeach()

function(ftso_cross_archives)
  foreach(system aarch64-linux-gnu riscv64-linux-gnu)
    find_program(FTSO_CC_${system} ${system}-gcc)
    find_program(FTSO_AR_${system} ${system}-ar)
    set(c_library libc.so)
    if(FTSO_CC_${system}) # a compiler without its C library answers with the bare name
      execute_process(COMMAND ${FTSO_CC_${system}} -print-file-name=libc.so OUTPUT_VARIABLE c_library
                      OUTPUT_STRIP_TRAILING_WHITESPACE)
    endif()
    if(c_library STREQUAL libc.so OR NOT FTSO_AR_${system})
      message(STATUS "artefacts cannot be built for ${system}: install gcc-${system} and its C library")
      continue()
    endif()
    set(folder ${CMAKE_BINARY_DIR}/artefact/${system})
    set(made "")
    foreach(archive IN LISTS ARGN)
      get_target_property(sources ${archive} SOURCES)
      set(objects "")
      foreach(source IN LISTS sources)
        file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${source})
        string(REPLACE "/" "_" name ${name})
        set(object ${CMAKE_BINARY_DIR}/cross/${system}/${archive}/${name}.o)
        add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d COMMENT "Building ${name} for ${system}"
          COMMAND ${FTSO_CC_${system}} -std=c11 -D_GNU_SOURCE -O2 -g0 -fPIC -ffunction-sections -fdata-sections
                  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -I${CMAKE_SOURCE_DIR} -isystem ${cross_include}
                  -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object})
        list(APPEND objects ${object})
        get_filename_component(place ${object} DIRECTORY)
        file(MAKE_DIRECTORY ${place})
      endforeach()
      set(result ${folder}/lib${archive}.a)
      add_custom_command(OUTPUT ${result} DEPENDS ${objects} COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        COMMAND ${CMAKE_COMMAND} -E rm -f ${result} COMMAND ${FTSO_AR_${system}} rcsD ${result} ${objects})
      list(APPEND made ${result})
    endforeach()
    add_custom_target(ftso_cross_${system} DEPENDS ${made})
    add_dependencies(ftso ftso_cross_${system})
    install(FILES ${made} DESTINATION lib/ftso/${system})
  endforeach()
endfunction()
