// What was painted: the actions, and the states that undo and redo go through. Actions and states are never changed.

function makePainting(changed) {
  let states = [[]];
  let current = 0;

  function go(index) {
    if (index < 0 || index >= states.length) return false;
    current = index;
    changed(states[current]);
    return true;
  }

  return {
    get actions() {
      return states[current];
    },
    get last() {
      return states[current].at(-1);
    },
    get canUndo() {
      return current > 0;
    },
    get canRedo() {
      return current < states.length - 1;
    },
    // Begin anew; nothing before this can be had back.
    begin(actions) {
      states = [actions];
      go(0);
    },
    // Go on to these actions. `replace`: in the place of the current state, which undo then passes over.
    commit(actions, replace = false) {
      states = [...states.slice(0, replace && current > 0 ? current : current + 1), actions];
      go(states.length - 1);
    },
    undo: () => go(current - 1),
    redo: () => go(current + 1),
  };
}

// The actions after a grow or shrink: pressed again, it adds to the last one.
function withResize(actions, kind, pixels, most) {
  const last = actions.at(-1);
  if (last?.kind !== kind) return [...actions, { kind, pixels }];
  return [...actions.slice(0, -1), { kind, pixels: Math.min(most, last.pixels + pixels) }];
}

// Photo pixels with two digits after the point: enough for any screen, and the text stays short.
function rounded(value) {
  return Math.round(100 * value) / 100;
}
