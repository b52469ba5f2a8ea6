# tconv_manual_of(program SOURCE main.cc SECTION number SEE_ALSO page COMPONENT name [DEPS ...])
# The manual page of a program and its completions: written in the build by an executable
# of SOURCE, and installed where man and the shells look for them. The date of the page is
# that of the configuration, or SOURCE_DATE_EPOCH, so that a build can be repeated.
find_program(TCONV_GZIP gzip REQUIRED)
mark_as_advanced(TCONV_GZIP)

function(tconv_manual_of program)
  cmake_parse_arguments(ARG "" "SOURCE;SECTION;SEE_ALSO;COMPONENT" "DEPS" ${ARGN})
  add_executable(${program}_write_manual ${ARG_SOURCE})
  target_link_libraries(${program}_write_manual PRIVATE tconv_manual ${ARG_DEPS} tconv_warnings)

  string(TIMESTAMP date "%Y-%m-%d" UTC)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/manual)
  set(page ${folder}/${program}.${ARG_SECTION})
  set(completions ${folder}/${program}.bash ${folder}/_${program} ${folder}/${program}.fish)
  add_custom_command(OUTPUT ${page}.gz ${page} ${completions}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
    COMMAND ${program}_write_manual ${folder} ${ARG_SECTION} ${PROJECT_VERSION} ${date} ${ARG_SEE_ALSO}
    COMMAND ${TCONV_GZIP} -9nkf ${page}
    VERBATIM)
  add_custom_target(${program}_pages ALL DEPENDS ${page}.gz ${completions})

  install(FILES ${page}.gz COMPONENT ${ARG_COMPONENT}
    DESTINATION ${CMAKE_INSTALL_MANDIR}/man${ARG_SECTION})
  install(FILES ${folder}/${program}.bash RENAME ${program} COMPONENT ${ARG_COMPONENT}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${folder}/_${program} COMPONENT ${ARG_COMPONENT}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  install(FILES ${folder}/${program}.fish COMPONENT ${ARG_COMPONENT}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endfunction()
